import type { ResourceType } from '../traffic/resource.ts';
import type { DiscoveryRequest } from './discovery-message.ts';
import type { DesiredResource } from './fleet-resources.ts';
import { placeholderVersion } from './placeholder.ts';

/** A resource that the proxy has acknowledged, or reported when it connected. */
export interface HeldResource {
  readonly version: string;
  /** `DesiredResource.serial` of what was sent; -1 where that is not known. */
  readonly serial: number;
  /** Undefined when this process has not seen that version: it may name any cluster. */
  readonly clusters: readonly string[] | undefined;
  readonly atMs: number;
}

export interface RejectedResource {
  readonly version: string;
  readonly message: string;
  readonly atMs: number;
}

/** What a request said about the response in flight. */
export type Verdict =
  | { readonly kind: 'none' }
  | { readonly kind: 'acknowledged'; readonly names: readonly string[]; readonly elapsedMs: number }
  /** `names` has one element when it is known which resource is bad; more while the batch is still being split. */
  | { readonly kind: 'rejected'; readonly names: readonly string[]; readonly message: string };

interface InFlight {
  readonly nonce: string;
  readonly sent: Map<string, Omit<HeldResource, 'atMs'>>;
  readonly removed: readonly string[];
  readonly sentAtMs: number;
}

const none: Verdict = { kind: 'none' };

/**
 * One resource type on one delta stream: what the proxy asked for, what it holds, what is on its way. At most one response is unacknowledged.
 * Rules: DeltaDiscoveryRequest in envoy/service/discovery/v3/discovery.proto.
 */
export class Subscription {
  readonly type: ResourceType;
  readonly held = new Map<string, HeldResource>();
  readonly rejected = new Map<string, RejectedResource>();
  /** Names whose desired state may differ from what the proxy holds. Everything that changes either side adds to it. */
  readonly dirty = new Set<string>();
  /** Names that the proxy waits for, whatever version it holds. */
  readonly awaited = new Set<string>();
  /** Held, not desired. The time since which nothing on this proxy needs it; undefined while something does. */
  readonly unwanted = new Map<string, number | undefined>();
  /** The first request of this type has come. */
  opened = false;
  /** A response has been sent, or the proxy came with resources from an earlier stream. */
  answered = false;
  wildcard = false;
  #inFlight: InFlight | undefined;
  readonly #names = new Set<string>();
  /** Parts of a rejected response, to be sent one by one. */
  readonly #parts: (readonly string[])[] = [];

  constructor(type: ResourceType) {
    this.type = type;
  }

  get inFlight(): boolean {
    return this.#inFlight !== undefined;
  }

  wants(name: string): boolean {
    return this.wildcard || this.#names.has(name);
  }

  receive(request: DiscoveryRequest, nowMs: number): Verdict {
    if (!this.opened) this.#open(request, nowMs);
    // A stale nonce says nothing about the response in flight, but its subscriptions count.
    const verdict = request.nonce !== '' && request.nonce === this.#inFlight?.nonce ? this.#conclude(this.#inFlight, request, nowMs) : none;
    for (const name of request.subscribe) this.#subscribe(name, request.initialVersions.has(name));
    for (const name of request.unsubscribe) this.#unsubscribe(name);
    return verdict;
  }

  /** The names to look at now: the next part of a rejected response, or everything that changed. */
  candidates(): readonly string[] {
    return this.#parts.shift() ?? [...this.dirty];
  }

  get splitting(): boolean {
    return this.#parts.length > 0;
  }

  /** What the proxy reported when it connected is the desired version: now it is known what it sends to. */
  recognise({ name, version, serial, clusters }: DesiredResource): void {
    const resource = this.held.get(name);
    if (resource !== undefined && resource.clusters === undefined && resource.version === version) this.held.set(name, { ...resource, serial, clusters });
  }

  sent(response: InFlight): void {
    this.#inFlight = response;
    this.answered = true;
    for (const name of response.sent.keys()) {
      this.dirty.delete(name);
      this.awaited.delete(name);
    }
  }

  /** Each list of clusters that something on the proxy may send to: held or on its way. */
  *clusterLists(): Generator<readonly string[] | undefined> {
    for (const { clusters } of this.held.values()) yield clusters;
    for (const { clusters } of this.#inFlight?.sent.values() ?? []) yield clusters;
  }

  mayHold(name: string): boolean {
    return this.held.has(name) || this.#inFlight?.sent.has(name) === true;
  }

  #open(request: DiscoveryRequest, nowMs: number): void {
    this.opened = true;
    const byName = this.type === 'ClusterLoadAssignment' || this.type === 'RouteConfiguration';
    this.wildcard = !byName && request.subscribe.length === 0;
    this.answered = request.initialVersions.size > 0;
    for (const [name, version] of request.initialVersions) {
      this.held.set(name, { version, serial: -1, clusters: version === placeholderVersion ? [] : undefined, atMs: nowMs });
      this.dirty.add(name);
    }
  }

  #subscribe(name: string, reported: boolean): void {
    if (name === '*') {
      this.wildcard = true;
      return;
    }
    this.#names.add(name);
    this.dirty.add(name);
    if (reported) return;
    // Asked again: the proxy may have dropped it in between, so what was held proves nothing.
    this.held.delete(name);
    this.awaited.add(name);
  }

  #unsubscribe(name: string): void {
    if (name === '*') this.wildcard = false;
    this.#names.delete(name);
    if (this.wildcard) return;
    this.#drop(name);
    this.#inFlight?.sent.delete(name);
  }

  #drop(name: string): void {
    this.held.delete(name);
    this.rejected.delete(name);
    this.awaited.delete(name);
    this.unwanted.delete(name);
    this.dirty.delete(name);
  }

  #conclude(response: InFlight, request: DiscoveryRequest, nowMs: number): Verdict {
    this.#inFlight = undefined;
    for (const name of response.removed) this.#remove(name);
    const names = [...response.sent.keys()];
    if (request.rejection !== undefined && names.length > 0) return this.#reject(response, request.rejection, nowMs);
    for (const [name, resource] of response.sent) {
      this.held.set(name, { ...resource, atMs: nowMs });
      this.rejected.delete(name);
      this.dirty.add(name); // it may have changed, or left the set, meanwhile
    }
    return { kind: 'acknowledged', names: [...names, ...response.removed], elapsedMs: nowMs - response.sentAtMs };
  }

  #remove(name: string): void {
    this.held.delete(name);
    this.rejected.delete(name);
    this.unwanted.delete(name);
    this.dirty.add(name);
  }

  /** The message does not say which resource was bad, so halves are sent until single ones remain. */
  #reject(response: InFlight, message: string, nowMs: number): Verdict {
    const names = [...response.sent.keys()];
    for (const name of names) this.dirty.add(name);
    if (names.length > 1) {
      const middle = Math.ceil(names.length / 2);
      this.#parts.unshift(names.slice(0, middle), names.slice(middle));
    } else {
      for (const [name, { version }] of response.sent) this.rejected.set(name, { version, message, atMs: nowMs });
    }
    return { kind: 'rejected', names, message };
  }
}
