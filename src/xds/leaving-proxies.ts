import type { Pod, Service } from '../desired/observed.ts';
import { isFleetSelector } from '../desired/ownership.ts';
import type { EndpointSlice } from '../traffic/endpoint.ts';

export interface LeavingProxiesOptions {
  /** Proxies that are being deleted but still run, of all namespaces. */
  readonly leaving: () => readonly Pod[];
  readonly servicesIn: (namespace: string) => readonly Service[];
  readonly slicesOf: (namespace: string, service: string) => readonly EndpointSlice[];
  /** Serves this proxy no listener any more. */
  readonly drain: (namespace: string, nodeId: string) => void;
  readonly nowMs: () => number;
}

/** kube-proxy on each node follows the slices with a delay. */
const MARGIN_MS = 5_000;

/**
 * Takes the listeners from proxies that end, so that Envoy closes their connections politely: not before every Service has left the
 * proxy out, as a new connection would be refused then.
 */
export class LeavingProxies {
  readonly #options: LeavingProxiesOptions;
  /** Since when no Service sends it connections, by uid. */
  readonly #unreachableSinceMs = new Map<string, number>();

  constructor(options: LeavingProxiesOptions) {
    this.#options = options;
  }

  /** To be called every second or so: slices change one by one, and the margin ends without an event. */
  drainDue(): void {
    const leaving = this.#options.leaving();
    const present = new Set(leaving.map(({ metadata }) => metadata.uid ?? ''));
    for (const uid of this.#unreachableSinceMs.keys()) if (!present.has(uid)) this.#unreachableSinceMs.delete(uid);
    for (const pod of leaving) this.#drainIfDue(pod);
  }

  #drainIfDue(pod: Pod): void {
    const { namespace = '', uid = '' } = pod.metadata;
    if (this.#isReachable(namespace, pod.status?.podIP ?? '')) return void this.#unreachableSinceMs.delete(uid);
    const sinceMs = this.#unreachableSinceMs.get(uid) ?? this.#options.nowMs();
    this.#unreachableSinceMs.set(uid, sinceMs);
    if (this.#options.nowMs() - sinceMs >= MARGIN_MS) this.#options.drain(namespace, uid);
  }

  #isReachable(namespace: string, address: string): boolean {
    const pointing = this.#options.servicesIn(namespace).filter(isFleetSelector);
    return pointing.some(({ metadata }) => this.#options.slicesOf(namespace, metadata.name).some((slice) => sendsTo(slice, address)));
  }
}

const sendsTo = (slice: EndpointSlice, address: string): boolean =>
  slice.endpoints?.some(({ addresses, conditions }) => addresses.includes(address) && conditions?.ready !== false) ?? false;
