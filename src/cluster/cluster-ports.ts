/** What the reconcilers ask of a cluster, answered from the caches and by the API server. */
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import type { Microservice, MicroserviceStatus } from '../api/microservice.ts';
import { configMapNames } from '../desired/config-hash.ts';
import type { Manifest } from '../desired/manifest.ts';
import { API_VERSION, FIELD_MANAGER } from '../desired/names.ts';
import type { Observed, TrafficObserved } from '../desired/observed.ts';
import { isFleetObject, isFleetSelector } from '../desired/ownership.ts';
import { id } from '../desired/plan.ts';
import type { Settings } from '../desired/settings.ts';
import { usesProxies, versions } from '../desired/version.ts';
import type { FleetObserved } from '../reconcile/fleet.ts';
import type { OperatorEvent, Problem, ReconcilePorts } from '../reconcile/ports.ts';
import type { Caches } from './caches.ts';
import type { Client } from './client.ts';
import type { EventRecorder } from './event-recorder.ts';
import { refusal } from './failure.ts';
import { resourceKindOf } from './resource-kind.ts';
import { WrittenVersions, type CacheView } from './written-versions.ts';

export interface ClusterPortsOptions {
  readonly client: Client;
  readonly caches: Caches;
  readonly events: Pick<EventRecorder, 'record'>;
  readonly settings: Settings;
  readonly traffic: (microservice: Microservice) => TrafficObserved;
  /** Another or no problem with the fleet of the namespace than before: its Microservices have to report it. */
  readonly onFleetProblem: (namespace: string) => void;
  /** For the log: every write that the API server has taken. */
  readonly onWrite: (key: string, verb: 'applied' | 'removed' | 'status written', what: string) => void;
  /** Wall clock. */
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
}

/** After this long a write that has not come back through the watch is not waited for any more. */
const STALE_LIMIT_MS = 5_000;

export class ClusterPorts {
  readonly #options: ClusterPortsOptions;
  readonly #written: WrittenVersions;
  readonly #idleSinceMs = new Map<string, number>();
  readonly #fleetProblems = new Map<string, Problem>();

  constructor(options: ClusterPortsOptions) {
    this.#options = options;
    this.#written = new WrittenVersions({ cacheOf: (object) => this.#cacheOf(object), nowMs: options.monotonicMs });
  }

  /** For one pass: its calls end when `signal` aborts. */
  microservicePorts(key: string, signal: AbortSignal): ReconcilePorts {
    return {
      ...this.#writes(key, signal),
      observe: (namespace, name) => this.#observe(key, namespace, name),
      writeStatus: (microservice, status) => this.#writeStatus(key, microservice, status, signal),
      refusal,
    };
  }

  /** Without the certificate and the bootstrap, which are not this room's. */
  fleetPorts(key: string, signal: AbortSignal) {
    return {
      ...this.#writes(key, signal),
      observe: (namespace: string) => this.#observeFleet(key, namespace),
      report: (namespace: string, problem: Problem | undefined) => this.#reportFleet(namespace, problem),
      refusal,
    };
  }

  #writes(key: string, signal: AbortSignal) {
    const { client, events, onWrite, nowMs } = this.#options;
    return {
      get: (manifest: Manifest) => client.get(resourceKindOf(manifest), manifest.metadata, { signal }),
      apply: async (manifest: Manifest, { fieldManager, force }: { readonly fieldManager: string; readonly force: boolean }) => {
        const stored = await client.apply(manifest, { fieldManager, force, signal });
        this.#written.wrote(key, stored);
        onWrite(key, 'applied', id(stored));
        return stored;
      },
      remove: async (object: KubernetesObject) => {
        await client.remove(object, { signal });
        this.#written.removed(key, object);
        onWrite(key, 'removed', id(object));
      },
      event: (about: KubernetesObject, { type, reason, action, message }: OperatorEvent) => events.record({ regarding: identified(about), type, reason, action, note: message }),
      nowMs,
    };
  }

  #isStale(key: string): boolean {
    const staleMs = this.#written.staleForMs(key);
    return staleMs !== undefined && staleMs < STALE_LIMIT_MS;
  }

  #observe(key: string, namespace: string, name: string): Observed | undefined | 'stale' {
    const { caches, settings, traffic } = this.#options;
    if (this.#isStale(key)) return 'stale';
    const microservice = caches.microservices.get(namespace, name);
    if (!microservice) return undefined;
    const fleetProblem = this.#fleetProblems.get(namespace);
    const referenced = new Set(versions(microservice, settings).flatMap((version) => configMapNames(microservice.spec, version)));
    return {
      microservice,
      children: caches.childrenOf(namespace, name),
      pods: caches.pods.byIndex('microservice', `${namespace}/${name}`),
      configMaps: new Map([...referenced].flatMap((configMap) => {
        const found = caches.configMaps.get(namespace, configMap);
        return found ? [[configMap, found.contentHash] as const] : [];
      })),
      proxyPods: caches.fleetPods(namespace),
      ...(fleetProblem === undefined || !usesProxies(microservice.spec) ? {} : { fleetProblem }),
      traffic: traffic(microservice),
    };
  }

  #observeFleet(key: string, namespace: string): FleetObserved | 'stale' {
    const { caches, nowMs } = this.#options;
    if (this.#isStale(key)) return 'stale';
    const children = [...caches.children, caches.services].flatMap((informer) => (informer.byIndex('namespace', namespace) as readonly KubernetesObject[]).filter(isFleetObject));
    const serviceCount = this.#fleetUsers(namespace);
    if (serviceCount > 0) this.#idleSinceMs.delete(namespace);
    else if (!this.#idleSinceMs.has(namespace)) this.#idleSinceMs.set(namespace, nowMs());
    return { namespace, children, serviceCount, idleSinceMs: this.#idleSinceMs.get(namespace) };
  }

  #reportFleet(namespace: string, problem: Problem | undefined): void {
    if (this.#fleetProblems.get(namespace)?.message === problem?.message) return;
    if (problem) this.#fleetProblems.set(namespace, problem);
    else this.#fleetProblems.delete(namespace);
    this.#options.onFleetProblem(namespace);
  }

  /** Microservices that want proxies, and those whose Service still points at them. */
  #fleetUsers(namespace: string): number {
    const { caches } = this.#options;
    const users = new Set(caches.microservices.byIndex('namespace', namespace).filter(({ spec }) => usesProxies(spec)).map(({ metadata }) => metadata.name));
    for (const service of caches.services.byIndex('namespace', namespace)) if (isFleetSelector(service) && !isFleetObject(service)) users.add(service.metadata.name);
    return users.size;
  }

  async #writeStatus(key: string, microservice: Microservice, status: MicroserviceStatus, signal: AbortSignal): Promise<void> {
    // Its resourceVersion, because the status of what we have not seen yet is not ours to judge.
    const { name, namespace, resourceVersion } = microservice.metadata;
    const metadata = { name, ...(namespace === undefined ? {} : { namespace }), ...(resourceVersion === undefined ? {} : { resourceVersion }) };
    const stored = await this.#options.client.applyStatus({ apiVersion: API_VERSION, kind: 'Microservice', metadata, status }, { fieldManager: FIELD_MANAGER.status, force: true, signal });
    this.#written.wrote(key, stored);
    this.#options.onWrite(key, 'status written', id(stored));
  }

  #cacheOf({ kind }: KubernetesObject): CacheView | undefined {
    return this.#options.caches.informers.find((informer) => informer.kind.kind === kind);
  }
}

/** Cached and applied objects may lack these two, which an Event needs. */
const identified = (object: KubernetesObject): KubernetesObject => ({ ...object, apiVersion: object.apiVersion ?? API_VERSION, kind: object.kind ?? 'Microservice' });
