import type { ResourceType } from '../traffic/resource.ts';
import { encodeResponse, type DiscoveryRequest } from './discovery-message.ts';
import type { EncodedResource } from './encode.ts';
import type { ChangedNames, DesiredResource, FleetResources } from './fleet-resources.ts';
import { placeholderOf, placeholderVersion } from './placeholder.ts';
import { readinessOf, type Readiness } from './readiness.ts';
import { resourceTypes, typeOfUrl, typeUrlOf } from './resource-type.ts';
import { Subscription, type Verdict } from './subscription.ts';

export interface AdsStreamOptions {
  readonly fleet: FleetResources;
  /** Milliseconds of a monotonic or wall clock; only differences matter here. */
  readonly nowMs: () => number;
  /** How long a listener or cluster stays on the proxy after nothing wants it. */
  readonly removalDelayMs: number;
  /** False when the connection has taken more than it could send: nothing is written until `resume`. */
  readonly write: (response: Buffer) => boolean;
  /** Asks for a `pump` at that time, in the clock of `nowMs`, because a removal becomes due; undefined: no longer. */
  readonly wakeAt: (dueMs: number | undefined) => void;
}

interface Answer {
  readonly entries: readonly (EncodedResource & { readonly serial?: number })[];
  readonly removed: readonly string[];
}

/**
 * The delta ADS conversation with one proxy: compares what the fleet should hold with what this proxy holds and sends the difference in
 * an order in which no request is lost. It knows neither gRPC nor timers.
 *
 * Order: clusters, their endpoints, and a listener or route only when the endpoints of all clusters that it names are acknowledged.
 * Backwards: listeners, then (Envoy unsubscribes from the routes once the listener has drained) clusters to which no route leads.
 */
export class AdsStream {
  readonly #options: AdsStreamOptions;
  readonly #subscriptions = new Map<ResourceType, Subscription>(resourceTypes.map((type) => [type, new Subscription(type)]));
  #serving = false;
  #writable = true;
  #draining = false;
  #nonce = 0;
  #nextDueMs: number | undefined;

  constructor(options: AdsStreamOptions) {
    this.#options = options;
  }

  get draining(): boolean {
    return this.#draining;
  }

  subscription(type: ResourceType): Subscription {
    const subscription = this.#subscriptions.get(type);
    if (subscription === undefined) throw new Error(`no resource type ${type}`);
    return subscription;
  }

  /** From now on answers are sent. Before, an incomplete desired set would make the proxy drop what it holds. */
  start(): void {
    this.#serving = true;
    this.pump();
  }

  resume(): void {
    this.#writable = true;
    this.pump();
  }

  /** Takes every listener from the proxy, at once and for the rest of the stream. */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    const listeners = this.subscription('Listener');
    for (const name of listeners.held.keys()) listeners.dirty.add(name);
    this.pump();
  }

  /** Undefined for a type that is not served. */
  receive(request: DiscoveryRequest): (Verdict & { readonly type: ResourceType }) | undefined {
    const type = typeOfUrl(request.typeUrl);
    if (type === undefined) return undefined;
    const subscription = this.subscription(type);
    const wasWildcard = subscription.wildcard;
    const verdict = subscription.receive(request, this.#options.nowMs());
    if (subscription.wildcard && !wasWildcard) for (const name of this.#options.fleet.names(type)) subscription.dirty.add(name);
    this.pump();
    return { ...verdict, type };
  }

  /** The desired set has changed in these names. */
  changed(names: ChangedNames): void {
    for (const [type, changedNames] of names) {
      const subscription = this.subscription(type);
      if (subscription.opened) for (const name of changedNames) subscription.dirty.add(name);
    }
    this.pump();
  }

  /** Sends whatever may be sent now. */
  pump(): void {
    for (const type of resourceTypes) this.#sendChanges(this.subscription(type));
    this.#nextDueMs = undefined;
    this.#sendRemovals(this.subscription('Listener'), () => false);
    if (this.subscription('Cluster').unwanted.size > 0) this.#sendRemovals(this.subscription('Cluster'), this.#routesTo());
    this.#options.wakeAt(this.#nextDueMs);
  }

  /** Whether a request that this proxy takes may still reach the cluster. */
  mayRouteTo(cluster: string): boolean {
    return this.#routesTo()(cluster);
  }

  #routesTo(): (cluster: string) => boolean {
    // It has not yet said what it listens on.
    if (!this.subscription('Listener').opened) return () => true;
    const lists = (['Listener', 'RouteConfiguration'] as const).flatMap((type) => [...this.subscription(type).clusterLists()]);
    if (lists.includes(undefined)) return () => true; // a version that this process has not seen
    const names = new Set(lists.flatMap((list) => list ?? []));
    return (cluster) => names.has(cluster);
  }

  #desired(type: ResourceType, name: string): DesiredResource | undefined {
    return this.#draining && type === 'Listener' ? undefined : this.#options.fleet.get(type, name);
  }

  #readiness(resource: DesiredResource): Readiness {
    return readinessOf(resource, { fleet: this.#options.fleet, subscription: (type) => this.subscription(type) });
  }

  #maySend(subscription: Subscription): boolean {
    return this.#serving && this.#writable && subscription.opened && !subscription.inFlight;
  }

  #sendChanges(subscription: Subscription): void {
    if (!this.#maySend(subscription) || this.#mustWaitForFirst(subscription)) return;
    for (;;) {
      const isPart = subscription.splitting;
      const answer = this.#compare(subscription, subscription.candidates());
      const isFirst = subscription.wildcard && !subscription.answered;
      if (answer.entries.length > 0 || answer.removed.length > 0 || isFirst) return this.#send(subscription, answer);
      if (!isPart) return;
    }
  }

  /**
   * Envoy calls itself ready after the first LDS response and what that names. A listener that came later would leave a pod that takes
   * traffic without it, so the first response waits for all that are on their way.
   */
  #mustWaitForFirst(subscription: Subscription): boolean {
    if (!subscription.wildcard || subscription.answered) return false;
    return [...this.#options.fleet.names(subscription.type)].some((name) => {
      const desired = this.#desired(subscription.type, name);
      return desired !== undefined && this.#readiness(desired) === 'waiting';
    });
  }

  #compare(subscription: Subscription, names: readonly string[]): Answer {
    const entries: EncodedResource[] = [];
    const removed: string[] = [];
    for (const name of names) {
      if (!subscription.dirty.has(name)) continue;
      const desired = this.#desired(subscription.type, name);
      if (desired === undefined) this.#compareUndesired(subscription, name, entries, removed);
      else this.#compareDesired(subscription, desired, entries);
    }
    return { entries, removed };
  }

  #compareDesired(subscription: Subscription, desired: DesiredResource, entries: EncodedResource[]): void {
    const { name, version } = desired;
    subscription.unwanted.delete(name);
    subscription.recognise(desired);
    const awaited = subscription.awaited.has(name);
    const settled = subscription.held.get(name)?.version === version || subscription.rejected.get(name)?.version === version;
    if (!subscription.wants(name) || (settled && !awaited)) {
      subscription.dirty.delete(name);
      return;
    }
    const readiness = this.#readiness(desired);
    if (readiness === 'ready') entries.push(desired);
    else if (readiness === 'stuck' && awaited) this.#placehold(subscription, name, entries);
  }

  #compareUndesired(subscription: Subscription, name: string, entries: EncodedResource[], removed: string[]): void {
    subscription.rejected.delete(name);
    const awaited = subscription.awaited.delete(name);
    subscription.dirty.delete(name);
    if (awaited) {
      if (!this.#placehold(subscription, name, entries)) removed.push(name);
    } else if (subscription.held.has(name) && !subscription.unwanted.has(name)) {
      subscription.unwanted.set(name, undefined);
    }
  }

  /** Silence would keep the proxy's cluster or listener, and with it a starting proxy, waiting for ever. */
  #placehold(subscription: Subscription, name: string, entries: EncodedResource[]): boolean {
    const placeholder = placeholderOf(subscription.type, name);
    if (placeholder === undefined) return false;
    entries.push(placeholder);
    return true;
  }

  #send(subscription: Subscription, { entries, removed }: Answer): void {
    this.#nonce += 1;
    const nonce = String(this.#nonce);
    const sent = new Map(entries.map(({ name, version, serial, clusters }) => [name, { version, serial: serial ?? -1, clusters }]));
    subscription.sent({ nonce, sent, removed, sentAtMs: this.#options.nowMs() });
    // A placeholder is not the last word: look again when something changes.
    for (const { name, version } of entries) if (version === placeholderVersion) subscription.dirty.add(name);
    if (subscription.type === 'Cluster') this.#answerEndpointsAgain(entries);
    const response = encodeResponse({ typeUrl: typeUrlOf(subscription.type), nonce, entries: entries.map(({ entry }) => entry), removed });
    this.#writable = this.#options.write(response);
  }

  /** A changed cluster warms again and waits for its endpoints without asking for them; until they come, Envoy also withholds the ACK of the cluster. */
  #answerEndpointsAgain(clusters: readonly EncodedResource[]): void {
    const endpoints = this.subscription('ClusterLoadAssignment');
    for (const { endpointsName } of clusters) {
      if (endpointsName === undefined || !endpoints.wants(endpointsName)) continue;
      endpoints.awaited.add(endpointsName);
      endpoints.dirty.add(endpointsName);
    }
  }

  #sendRemovals(subscription: Subscription, isNeeded: (name: string) => boolean): void {
    const due = this.#dueRemovals(subscription, isNeeded);
    if (due.length > 0 && this.#maySend(subscription)) this.#send(subscription, { entries: [], removed: due });
  }

  #dueRemovals(subscription: Subscription, isNeeded: (name: string) => boolean): readonly string[] {
    const nowMs = this.#options.nowMs();
    const delayMs = this.#draining && subscription.type === 'Listener' ? 0 : this.#options.removalDelayMs;
    const due: string[] = [];
    for (const [name, sinceMs] of subscription.unwanted) {
      const unneededSinceMs = isNeeded(name) ? undefined : (sinceMs ?? nowMs);
      subscription.unwanted.set(name, unneededSinceMs);
      if (unneededSinceMs === undefined) continue;
      const dueMs = unneededSinceMs + delayMs;
      if (dueMs <= nowMs) due.push(name);
      else this.#nextDueMs = Math.min(dueMs, this.#nextDueMs ?? dueMs);
    }
    return due;
  }
}
