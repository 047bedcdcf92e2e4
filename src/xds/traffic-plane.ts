/**
 * Keeps the proxies told: whenever a Microservice, one of its Services or an EndpointSlice changes, what its proxies should hold is
 * computed and handed to the ADS server at once, without a queue. What the proxies answer is read here as observed state.
 */
import type { Microservice } from '../api/microservice.ts';
import { LABEL, versionChildName } from '../desired/names.ts';
import type { Pod, Service, TrafficObserved } from '../desired/observed.ts';
import { isFleetSelector } from '../desired/ownership.ts';
import type { Settings } from '../desired/settings.ts';
import { ports, usesProxies, versions } from '../desired/version.ts';
import type { EndpointSlice } from '../traffic/endpoint.ts';
import { microserviceTraffic, type MicroserviceTraffic, type TrafficVersion } from '../traffic/microservice-traffic.ts';
import type { Resource } from '../traffic/resource.ts';
import type { AdsServer } from './ads-server.ts';
import { ListenerPortBook } from './listener-port-book.ts';
import type { Receipt } from './receipt.ts';

/** What the plane reads: caches that are synced and change before the plane is told. */
interface TrafficCaches {
  microservices(): readonly Microservice[];
  microservice(namespace: string, name: string): Microservice | undefined;
  /** Ours, of all Microservices. */
  services(): readonly Service[];
  servicesOf(namespace: string, name: string): readonly Service[];
  slicesOf(namespace: string, service: string): readonly EndpointSlice[];
  fleetPods(namespace: string): readonly Pod[];
}

export interface TrafficPlaneOptions {
  readonly caches: TrafficCaches;
  readonly server: Pick<AdsServer, 'set' | 'receipt'>;
  readonly settings: Pick<Settings, 'imagePrefix' | 'imageTag'>;
  /** What is observed of this Microservice has changed. */
  readonly onChange: (namespace: string, name: string) => void;
  /** All Ready proxies hold a change that was seen `delayMs` before. */
  readonly onAcknowledged: (delayMs: number) => void;
  readonly onError: (error: unknown, namespace: string, name: string) => void;
  /** Wall clock. */
  readonly nowMs: () => number;
  /** How long after the last acknowledgement a removed version may still have requests. */
  readonly drainDelayMs: number;
}

/** A Ready proxy that has not answered for this long is reported. */
const SILENT_MS = 30_000;
/** After a start the proxies need time to reconnect; until then the receipts in status count. */
const GRACE_MS = 30_000;

interface State {
  /** Of the wanted ports, by name. */
  readonly ports: ReadonlyMap<string, number>;
  readonly weights: ReadonlyMap<string, number>;
  readonly servedPorts: ReadonlySet<string>;
  /** Of the wanted ports, and of those that a Service still points at. */
  readonly byPort: ReadonlyMap<string, PortResources>;
  /** What the previous leader may have told the proxies already, so that no delay of it is ours to report. */
  readonly isFromStart: boolean;
  /** The newest configuration that every Ready proxy has acknowledged. Latched, so that proxies that come and go rewrite no status. */
  readonly acknowledged?: { readonly hash: string; readonly atMs: number; readonly delayMs: number | undefined; readonly ports: string };
  /** Why the proxies could not be told of the newest spec. */
  readonly failure?: string;
}

interface PortResources {
  readonly listenerPort: number;
  readonly resources: readonly Resource[];
}

const nothing: State = { ports: new Map(), weights: new Map(), servedPorts: new Set(), byPort: new Map(), isFromStart: false };

export class TrafficPlane {
  readonly #options: TrafficPlaneOptions;
  readonly #states = new Map<string, State>();
  readonly #portBook: ListenerPortBook;
  /** Namespaces in which a proxy was Ready when last looked at. */
  readonly #withProxies = new Set<string>();
  #startedMs: number | undefined;
  #isStarting = false;

  constructor(options: TrafficPlaneOptions) {
    this.#options = options;
    this.#portBook = new ListenerPortBook(2 * options.drainDelayMs, options.nowMs);
  }

  /** Computes everything once. Afterwards the ADS server may answer. */
  start(): void {
    this.#startedMs = this.#options.nowMs();
    this.#isStarting = true;
    for (const service of this.#options.caches.services()) this.#portBook.note(service);
    for (const { metadata } of this.#options.caches.microservices()) this.update(metadata.namespace ?? '', metadata.name);
    this.#isStarting = false;
  }

  /** Something that the configuration of this Microservice depends on has changed. */
  update(namespace: string, name: string): void {
    if (this.#startedMs === undefined) return;
    const key = `${namespace}/${name}`;
    try {
      this.#compute(namespace, name);
    } catch (error) {
      const failure = error instanceof Error ? error.message : String(error);
      this.#states.set(key, { ...(this.#states.get(key) ?? nothing), failure });
      this.#options.onError(error, namespace, name);
    }
    this.#options.onChange(namespace, name);
  }

  /** A proxy of the namespace came, went or changed. While none is Ready, or one has yet to answer, every change may be the explanation. */
  updateProxies(namespace: string): void {
    const isAny = this.#readyProxies(namespace).length > 0;
    const isTurn = isAny !== this.#withProxies.has(namespace);
    if (isAny) this.#withProxies.add(namespace);
    else this.#withProxies.delete(namespace);
    for (const key of this.#states.keys()) {
      const [owner, name] = key.split('/') as [string, string];
      if (owner !== namespace) continue;
      const isLatched = this.#latch(namespace, name) === 'before';
      if (isTurn || !isAny || !isLatched) this.#options.onChange(namespace, name);
    }
  }

  /** The ADS server has heard something that changes the receipt. */
  receiptChanged(namespace: string, name: string): void {
    this.#latch(namespace, name);
    this.#options.onChange(namespace, name);
  }

  observe(microservice: Microservice): TrafficObserved {
    const { namespace = '', name } = microservice.metadata;
    const state = this.#states.get(`${namespace}/${name}`) ?? nothing;
    const receipt = this.#options.server.receipt(namespace, name);
    const isLatched = state.failure === undefined && state.acknowledged !== undefined && state.acknowledged.hash === receipt.hash;
    const readyProxies = this.#readyProxies(namespace);
    const isAcknowledged = isLatched || this.#isCarriedOver(microservice, state);
    return {
      listenerPorts: state.ports,
      applied: state.weights,
      isListening: readyProxies.length > 0 && isListening(state),
      isAcknowledged,
      ...(isLatched ? receiptTimes(state) : this.#lookAgain(receipt)),
      drained: this.#drained(microservice, state, isLatched),
      readyProxies: readyProxies.length,
      silentProxies: isAcknowledged ? [] : this.#silentProxies(readyProxies, receipt),
      ...this.#rejected(namespace, receipt),
      ...(state.failure === undefined ? {} : { failure: state.failure }),
    };
  }

  #compute(namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    const microservice = this.#options.caches.microservice(namespace, name);
    const before = this.#states.get(key) ?? nothing;
    const wanted = microservice && this.#wantsProxies(microservice) ? this.#wanted(microservice, before) : { ports: new Map<string, number>(), traffic: undefined };
    const byPort = new Map([...this.#stillUsed(namespace, name, before, wanted.ports), ...portResources(wanted)]);
    if (byPort.size === 0) return this.#forget(namespace, name);
    // First, because what the proxies were not told is not in force.
    this.#options.server.set(namespace, name, [...byPort.values()].flatMap(({ resources }) => resources));
    this.#portBook.release(namespace, name, new Set(byPort.keys()));
    const weights = wanted.traffic?.weights ?? before.weights;
    const isFromStart = before === nothing ? this.#isStarting : before.isFromStart && isEqual(before.weights, weights);
    const { failure: _failure, ...kept } = before;
    this.#states.set(key, { ...kept, ports: wanted.ports, weights, servedPorts: wanted.traffic?.servedPorts ?? new Set(), byPort, isFromStart });
    this.#latch(namespace, name);
  }

  #forget(namespace: string, name: string): void {
    if (!this.#states.delete(`${namespace}/${name}`)) return;
    this.#portBook.release(namespace, name, new Set());
    this.#options.server.set(namespace, name, undefined);
  }

  #wanted(microservice: Microservice, before: State): { readonly ports: ReadonlyMap<string, number>; readonly traffic: MicroserviceTraffic } {
    const { namespace = '', name } = microservice.metadata;
    const servicePorts = ports(microservice.spec);
    const assigned = this.#portBook.assign(namespace, name, servicePorts.map((port) => port.name));
    const traffic = microserviceTraffic({
      name,
      ports: servicePorts.map((port) => ({ name: port.name, protocol: port.protocol, listenerPort: assigned.get(port.name) ?? 0 })),
      versions: this.#trafficVersions(microservice, before),
    });
    return { ports: assigned, traffic };
  }

  /** First the Service leaves a listener, then the listener goes: what a Service still points at stays as it was. */
  #stillUsed(namespace: string, name: string, before: State, wanted: ReadonlyMap<string, number>): readonly (readonly [string, PortResources])[] {
    const targets = new Set(
      this.#options.caches
        .servicesOf(namespace, name)
        .filter((service) => service.metadata.name === name && isFleetSelector(service))
        .flatMap((service) => service.spec.ports ?? [])
        .map((port) => port.targetPort),
    );
    return [...before.byPort].filter(([port, { listenerPort }]) => !wanted.has(port) && targets.has(listenerPort));
  }

  /** A Service that still points at the fleet needs its listeners, whatever the provider is by now. */
  #wantsProxies(microservice: Microservice): boolean {
    if (usesProxies(microservice.spec)) return true;
    const { namespace = '', name } = microservice.metadata;
    return this.#options.caches.servicesOf(namespace, name).some((service) => service.metadata.name === name && isFleetSelector(service));
  }

  /** The wanted versions first, in their order; then those whose Service still exists. */
  #trafficVersions(microservice: Microservice, before: State): readonly TrafficVersion[] {
    const { namespace = '', name } = microservice.metadata;
    const version = (versionName: string, weight: number | undefined): TrafficVersion => ({
      name: versionName,
      weight,
      isServing: (before.weights.get(versionName) ?? appliedBefore(microservice, versionName)) > 0,
      slices: this.#options.caches.slicesOf(namespace, versionChildName(name, versionName)),
    });
    const wanted = versions(microservice, this.#options.settings).map((wantedVersion) => version(wantedVersion.name, wantedVersion.weight));
    const names = new Set(wanted.map((wantedVersion) => wantedVersion.name));
    const leaving = this.#options.caches.servicesOf(namespace, name).flatMap((service) => service.metadata.labels?.[LABEL.version] ?? []);
    return [...wanted, ...leaving.filter((leavingName) => !names.has(leavingName)).toSorted().map((leavingName) => version(leavingName, undefined))];
  }

  /** Whether every Ready proxy holds the newest configuration: since now, or before; undefined if not. */
  #latch(namespace: string, name: string): 'now' | 'before' | undefined {
    const key = `${namespace}/${name}`;
    const state = this.#states.get(key);
    const receipt = this.#options.server.receipt(namespace, name);
    if (!state || receipt.hash === '') return undefined;
    if (state.acknowledged?.hash === receipt.hash) return 'before';
    const ready = this.#readyProxies(namespace);
    const times = new Map(receipt.proxies.map((proxy) => [proxy.nodeId, proxy.acknowledgedAtMs]));
    const readyTimes = ready.map((pod) => times.get(pod.metadata.uid ?? ''));
    if (ready.length === 0 || readyTimes.includes(undefined)) return undefined;
    const atMs = Math.max(...readyTimes.map((time) => time ?? 0));
    const delayMs = state.isFromStart ? undefined : Math.max(0, Math.round(atMs - receipt.setAtMs));
    this.#states.set(key, { ...state, isFromStart: false, acknowledged: { hash: receipt.hash, atMs, delayMs, ports: portsKey(state.ports) } });
    if (delayMs !== undefined) this.#options.onAcknowledged(delayMs);
    return 'now';
  }

  #isCarriedOver({ status }: Microservice, state: State): boolean {
    if (this.#graceMs() <= 0 || state.acknowledged) return false;
    const wasApplied = status?.conditions?.some((condition) => condition.type === 'TrafficApplied' && condition.status === 'True') ?? false;
    return wasApplied && [...state.weights].every(([version, weight]) => status?.versions?.find((candidate) => candidate.name === version)?.weight?.acknowledged === weight);
  }

  #graceMs(): number {
    return (this.#startedMs ?? 0) + GRACE_MS - this.#options.nowMs();
  }

  /** Patience with silent proxies, and the grace after a start, end without an event. */
  #lookAgain({ hash, setAtMs }: Receipt): Pick<TrafficObserved, 'lookAgainInMs'> {
    const rests = [this.#graceMs(), ...(hash === '' ? [] : [setAtMs + SILENT_MS - this.#options.nowMs()])].filter((ms) => ms > 0);
    return rests.length === 0 ? {} : { lookAgainInMs: Math.min(...rests) + 100 };
  }

  #drained(microservice: Microservice, state: State, isLatched: boolean): ReadonlySet<string> {
    const { namespace = '', name } = microservice.metadata;
    const restMs = isLatched && state.acknowledged ? state.acknowledged.atMs + this.#options.drainDelayMs - this.#options.nowMs() : Number.POSITIVE_INFINITY;
    // The route of a listener that a Service still points at is as it was.
    const isAnyOld = [...state.byPort.keys()].some((port) => !state.ports.has(port));
    if (restMs > 0 || isAnyOld) return new Set();
    const existing = this.#options.caches.servicesOf(namespace, name).map((service) => service.metadata.labels?.[LABEL.version] ?? '');
    return new Set(existing.filter((version) => !state.weights.has(version)));
  }

  #readyProxies(namespace: string): readonly Pod[] {
    return this.#options.caches.fleetPods(namespace).filter(isReadyPod);
  }

  #silentProxies(ready: readonly Pod[], receipt: Receipt): readonly string[] {
    if (receipt.hash === '' || this.#options.nowMs() - receipt.setAtMs < SILENT_MS) return [];
    const heard = new Set(receipt.proxies.filter((proxy) => proxy.acknowledgedAtMs !== undefined).map((proxy) => proxy.nodeId));
    return ready.filter((pod) => !heard.has(pod.metadata.uid ?? '')).map((pod) => pod.metadata.name);
  }

  #rejected(namespace: string, { proxies }: Receipt): Pick<TrafficObserved, 'rejected'> {
    for (const { nodeId, rejections } of proxies) {
      const first = rejections[0];
      if (first) return { rejected: { proxy: this.#podName(namespace, nodeId), message: `${first.type} ${first.name}: ${first.message}` } };
    }
    return {};
  }

  #podName(namespace: string, nodeId: string): string {
    return this.#options.caches.fleetPods(namespace).find((pod) => pod.metadata.uid === nodeId)?.metadata.name ?? nodeId;
  }
}

const portResources = ({ ports: assigned, traffic }: { readonly ports: ReadonlyMap<string, number>; readonly traffic: MicroserviceTraffic | undefined }): readonly (readonly [string, PortResources])[] =>
  [...(traffic?.byPort ?? [])].map(([port, resources]) => [port, { listenerPort: assigned.get(port) ?? 0, resources }]);

const appliedBefore = ({ status }: Microservice, version: string): number => status?.versions?.find((candidate) => candidate.name === version)?.weight?.applied ?? 0;

const receiptTimes = ({ acknowledged }: State): Pick<TrafficObserved, 'delayMs' | 'acknowledgedTime'> =>
  acknowledged?.delayMs === undefined ? {} : { delayMs: acknowledged.delayMs, acknowledgedTime: new Date(acknowledged.atMs).toISOString() };

/** Every Ready proxy held the listeners of just these ports, and no request to one would meet nobody. */
const isListening = ({ acknowledged, ports: assigned, servedPorts }: State): boolean =>
  acknowledged?.ports === portsKey(assigned) && [...assigned.keys()].every((port) => servedPorts.has(port));

const isReadyPod = (pod: Pod): boolean =>
  !pod.metadata.deletionTimestamp && (pod.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false);

const portsKey = (assigned: ReadonlyMap<string, number>): string => [...assigned].map(([name, port]) => `${name}=${port}`).join(',');

const isEqual = (a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean => a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
