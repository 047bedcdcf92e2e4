/**
 * Keeps the proxies told: whenever a Microservice, one of its Services or an EndpointSlice changes, what its proxies should hold is
 * computed and handed to the ADS server at once, without a queue. What the proxies answer is read here as observed state.
 */
import type { Microservice } from '../api/microservice.ts';
import { LABEL, versionChildName } from '../desired/names.ts';
import type { Pod, Service, TrafficObserved } from '../desired/observed.ts';
import { isFleetSelector } from '../desired/plan.ts';
import type { Settings } from '../desired/settings.ts';
import { ports, provider, versions } from '../desired/version.ts';
import type { EndpointSlice } from '../traffic/endpoint.ts';
import { isListenerPort, listenerPorts } from '../traffic/listener-port.ts';
import { microserviceTraffic, type TrafficVersion } from '../traffic/microservice-traffic.ts';
import type { AdsServer } from './ads-server.ts';
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
  readonly server: Pick<AdsServer, 'set' | 'receipt' | 'drain'>;
  readonly settings: Pick<Settings, 'imagePrefix' | 'imageTag'>;
  /** What is observed of this Microservice has changed. */
  readonly onChange: (namespace: string, name: string) => void;
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
/** kube-proxy on each node follows the slices with a delay. */
const DRAIN_MARGIN_MS = 5_000;

interface State {
  readonly ports: ReadonlyMap<string, number>;
  readonly weights: ReadonlyMap<string, number>;
  /** What the previous leader may have told the proxies already, so that no delay of it is ours to report. */
  readonly isFromStart: boolean;
  /** The newest configuration that every Ready proxy has acknowledged. Latched, so that proxies that come and go rewrite no status. */
  readonly acknowledged?: { readonly hash: string; readonly atMs: number; readonly delayMs: number | undefined; readonly ports: string };
}

const nothing: State = { ports: new Map(), weights: new Map(), isFromStart: false };

export class TrafficPlane {
  readonly #options: TrafficPlaneOptions;
  readonly #states = new Map<string, State>();
  /** Listener ports in use, by namespace and "<microservice>/<port>". */
  readonly #ports = new Map<string, Map<string, number>>();
  readonly #resting = new Map<string, Map<number, number>>();
  readonly #leavingSinceMs = new Map<string, number>();
  #startedMs: number | undefined;
  #isStarting = false;

  constructor(options: TrafficPlaneOptions) {
    this.#options = options;
  }

  /** Computes everything once. Afterwards the ADS server may answer. */
  start(): void {
    this.#startedMs = this.#options.nowMs();
    this.#isStarting = true;
    for (const service of this.#options.caches.services()) this.#notePorts(service);
    for (const { metadata } of this.#options.caches.microservices()) this.update(metadata.namespace ?? '', metadata.name);
    this.#isStarting = false;
  }

  /** Something that the configuration of this Microservice depends on has changed. */
  update(namespace: string, name: string): void {
    if (this.#startedMs === undefined) return;
    try {
      this.#compute(namespace, name);
    } catch (error) {
      this.#options.onError(error, namespace, name);
    }
  }

  /** A proxy of the namespace came, went or changed its readiness. */
  updateProxies(namespace: string): void {
    for (const key of this.#states.keys()) {
      const [owner, name] = key.split('/') as [string, string];
      if (owner === namespace && this.#latch(namespace, name)) this.#options.onChange(namespace, name);
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
    const isLatched = state.acknowledged !== undefined && state.acknowledged.hash === receipt.hash;
    const readyProxies = this.#readyProxies(namespace);
    const isAcknowledged = isLatched || this.#isCarriedOver(microservice, state);
    return {
      listenerPorts: state.ports,
      applied: state.weights,
      isListening: readyProxies.length > 0 && state.acknowledged?.ports === portsKey(state.ports),
      isAcknowledged,
      ...(isLatched && state.acknowledged.delayMs !== undefined
        ? { delayMs: state.acknowledged.delayMs, acknowledgedTime: new Date(state.acknowledged.atMs).toISOString() }
        : {}),
      drained: this.#drained(microservice, state, isLatched),
      readyProxies: readyProxies.length,
      silentProxies: isAcknowledged ? [] : this.#silentProxies(readyProxies, receipt),
      ...this.#rejected(namespace, receipt),
    };
  }

  /** Takes the listeners from proxies that end, once no Service sends them connections; answers when to call again. */
  drainLeaving(namespaces: Iterable<string>): void {
    for (const namespace of namespaces) {
      for (const pod of this.#options.caches.fleetPods(namespace)) if (pod.metadata.deletionTimestamp) this.#drainOne(namespace, pod);
    }
  }

  #drainOne(namespace: string, pod: Pod): void {
    const { uid = '' } = pod.metadata;
    if (this.#isReachable(namespace, pod.status?.podIP)) return void this.#leavingSinceMs.delete(uid);
    const sinceMs = this.#leavingSinceMs.get(uid) ?? this.#options.nowMs();
    this.#leavingSinceMs.set(uid, sinceMs);
    if (this.#options.nowMs() - sinceMs >= DRAIN_MARGIN_MS) this.#options.server.drain(namespace, uid);
  }

  #isReachable(namespace: string, address: string | undefined): boolean {
    const pointing = this.#options.caches.services().filter((service) => service.metadata.namespace === namespace && isFleetSelector(service));
    return pointing.some((service) =>
      this.#options.caches
        .slicesOf(namespace, service.metadata.name)
        .some((slice) => slice.endpoints?.some((endpoint) => endpoint.addresses.includes(address ?? '') && endpoint.conditions?.ready !== false)),
    );
  }

  #compute(namespace: string, name: string): void {
    const { caches, server } = this.#options;
    const key = `${namespace}/${name}`;
    const microservice = caches.microservice(namespace, name);
    const before = this.#states.get(key);
    if (!microservice || !this.#wantsProxies(microservice)) {
      if (!before) return;
      this.#releasePorts(namespace, name, new Set());
      this.#states.delete(key);
      server.set(namespace, name, undefined);
      return;
    }
    const assigned = this.#assignPorts(microservice);
    const servicePorts = ports(microservice.spec).map((port) => ({ name: port.name, protocol: port.protocol, listenerPort: assigned.get(port.name) ?? 0 }));
    const traffic = microserviceTraffic({ name, ports: servicePorts, versions: this.#trafficVersions(microservice) });
    const isFromStart = before === undefined ? this.#isStarting : before.isFromStart && isEqual(before.weights, traffic.weights);
    this.#states.set(key, { ...before, ports: assigned, weights: traffic.weights, isFromStart });
    server.set(namespace, name, traffic.resources);
    this.#latch(namespace, name);
    this.#options.onChange(namespace, name);
  }

  /** A Service that still points at the fleet needs its listeners, whatever the spec says by now. */
  #wantsProxies(microservice: Microservice): boolean {
    if (ports(microservice.spec).length === 0) return false;
    if (provider(microservice.spec) === 'Envoy') return true;
    const { namespace = '', name } = microservice.metadata;
    return this.#options.caches.servicesOf(namespace, name).some((service) => service.metadata.name === name && isFleetSelector(service));
  }

  /** The wanted versions first, in their order; then those whose Service still exists. */
  #trafficVersions(microservice: Microservice): readonly TrafficVersion[] {
    const { namespace = '', name } = microservice.metadata;
    const slices = (version: string): readonly EndpointSlice[] => this.#options.caches.slicesOf(namespace, versionChildName(name, version));
    const wanted = versions(microservice, this.#options.settings).map((version) => ({ name: version.name, weight: version.weight, slices: slices(version.name) }));
    const names = new Set(wanted.map((version) => version.name));
    const leaving = this.#options.caches
      .servicesOf(namespace, name)
      .map((service) => service.metadata.labels?.[LABEL.version])
      .filter((version) => version !== undefined && !names.has(version)) as readonly string[];
    return [...wanted, ...leaving.toSorted().map((version) => ({ name: version, weight: undefined, slices: slices(version) }))];
  }

  #notePorts(service: Service): void {
    const { namespace = '', name } = service.metadata;
    if (!isFleetSelector(service) || service.metadata.labels?.[LABEL.microservice] !== name) return;
    const used = this.#portsOf(namespace);
    for (const port of service.spec.ports ?? []) if (isListenerPort(port.targetPort)) used.set(`${name}/${port.name}`, port.targetPort);
  }

  #assignPorts(microservice: Microservice): ReadonlyMap<string, number> {
    const { namespace = '', name } = microservice.metadata;
    const names = ports(microservice.spec).map((port) => port.name);
    this.#releasePorts(namespace, name, new Set(names));
    const used = this.#portsOf(namespace);
    const wanted = names.map((port) => `${name}/${port}`);
    const missing = wanted.filter((portId) => !used.has(portId));
    if (missing.length > 0) for (const [portId, port] of listenerPorts(namespace, missing, used, this.#restingPorts(namespace))) used.set(portId, port);
    return new Map(names.map((port) => [port, used.get(`${name}/${port}`) ?? 0]));
  }

  #releasePorts(namespace: string, name: string, kept: ReadonlySet<string>): void {
    const used = this.#portsOf(namespace);
    for (const [portId, port] of used) {
      const [owner, portName = ''] = portId.split('/');
      if (owner !== name || kept.has(portName)) continue;
      used.delete(portId);
      this.#restOf(namespace).set(port, this.#options.nowMs() + 2 * this.#options.drainDelayMs);
    }
  }

  #restingPorts(namespace: string): ReadonlySet<number> {
    const resting = this.#restOf(namespace);
    for (const [port, untilMs] of resting) if (untilMs < this.#options.nowMs()) resting.delete(port);
    return new Set(resting.keys());
  }

  #portsOf(namespace: string): Map<string, number> {
    return entry(this.#ports, namespace);
  }

  #restOf(namespace: string): Map<number, number> {
    return entry(this.#resting, namespace);
  }

  /** True when it has just been acknowledged by every Ready proxy. */
  #latch(namespace: string, name: string): boolean {
    const key = `${namespace}/${name}`;
    const state = this.#states.get(key);
    const receipt = this.#options.server.receipt(namespace, name);
    if (!state || receipt.hash === '' || state.acknowledged?.hash === receipt.hash) return false;
    const ready = this.#readyProxies(namespace);
    const answers = new Map(receipt.proxies.map((proxy) => [proxy.nodeId, proxy]));
    if (ready.length === 0 || !ready.every((pod) => answers.get(pod.metadata.uid ?? '')?.acknowledgedAtMs !== undefined)) return false;
    const atMs = Math.max(...ready.map((pod) => answers.get(pod.metadata.uid ?? '')?.acknowledgedAtMs ?? this.#options.nowMs()));
    const delayMs = state.isFromStart ? undefined : Math.max(0, Math.round(atMs - receipt.setAtMs));
    this.#states.set(key, { ...state, isFromStart: false, acknowledged: { hash: receipt.hash, atMs, delayMs, ports: portsKey(state.ports) } });
    return true;
  }

  #isCarriedOver({ status }: Microservice, state: State): boolean {
    if (this.#startedMs === undefined || this.#options.nowMs() - this.#startedMs > GRACE_MS || state.acknowledged) return false;
    const wasApplied = status?.conditions?.some((condition) => condition.type === 'TrafficApplied' && condition.status === 'True') ?? false;
    return wasApplied && [...state.weights].every(([version, weight]) => status?.versions?.find((candidate) => candidate.name === version)?.weight?.acknowledged === weight);
  }

  #drained(microservice: Microservice, state: State, isLatched: boolean): ReadonlySet<string> {
    const { namespace = '', name } = microservice.metadata;
    const restMs = isLatched && state.acknowledged ? state.acknowledged.atMs + this.#options.drainDelayMs - this.#options.nowMs() : Number.POSITIVE_INFINITY;
    if (restMs > 0) return new Set();
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

const isReadyPod = (pod: Pod): boolean =>
  !pod.metadata.deletionTimestamp && (pod.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false);

const portsKey = (assigned: ReadonlyMap<string, number>): string => [...assigned].map(([name, port]) => `${name}=${port}`).join(',');

const isEqual = (a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean => a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);

function entry<K, A, B>(maps: Map<K, Map<A, B>>, key: K): Map<A, B> {
  const found = maps.get(key) ?? new Map<A, B>();
  maps.set(key, found);
  return found;
}

