import type { ResourceType } from '../traffic/resource.ts';
import type { AdsStream } from './ads-stream.ts';
import type { DesiredResource, FleetResources } from './fleet-resources.ts';

/** Which proxies have taken what one owner wants. */
export interface Receipt {
  /** Over names and versions of the resources that prove it: listeners, routes, and endpoints that carry TCP weights. Empty when the owner has none. The same after a restart. */
  readonly hash: string;
  /** When `hash` last changed in this process, in milliseconds of the server's clock. */
  readonly setAtMs: number;
  /** The connected proxies only: whoever wants "all" must compare with the pods that should be there. */
  readonly proxies: readonly ProxyReceipt[];
}

interface ProxyReceipt {
  readonly nodeId: string;
  readonly connectedAtMs: number;
  /** Its listeners are being taken away: it will not acknowledge any more and need not. */
  readonly draining: boolean;
  /** When it acknowledged the last of the resources behind `hash`, or reported them on connecting; undefined while it lacks one. */
  readonly acknowledgedAtMs: number | undefined;
  /** What it has not acknowledged, such as `RouteConfiguration shop/http`. */
  readonly missing: readonly string[];
  /** Resources of this owner, of any type, whose current version it refused; it stays with the version before. */
  readonly rejections: readonly Rejection[];
}

interface Rejection {
  readonly type: ResourceType;
  readonly name: string;
  readonly message: string;
  readonly atMs: number;
}

/** A proxy that holds a resource. */
export interface Holder {
  readonly nodeId: string;
  /** Of a cluster: a request that the proxy takes now may still be sent there. */
  readonly mayRoute: boolean;
}

export interface ConnectedProxy {
  readonly nodeId: string;
  readonly connectedAtMs: number;
  readonly stream: AdsStream;
  /** Ends the connection. */
  readonly end: () => void;
}

export function receiptOf(fleet: FleetResources, owner: string, proxies: readonly ConnectedProxy[]): Receipt {
  const { hash, setAtMs, proving, resources } = fleet.owned(owner);
  return { hash, setAtMs, proxies: proxies.map((proxy) => proxyReceipt(proxy, proving, resources)) };
}

function proxyReceipt({ nodeId, connectedAtMs, stream }: ConnectedProxy, proving: readonly DesiredResource[], resources: readonly DesiredResource[]): ProxyReceipt {
  const times = proving.map((resource) => acknowledgedAtMs(stream, resource));
  const missing = proving.filter((_, index) => times[index] === undefined).map(({ type, name }) => `${type} ${name}`);
  return {
    nodeId,
    connectedAtMs,
    draining: stream.draining,
    acknowledgedAtMs: missing.length > 0 ? undefined : Math.max(connectedAtMs, ...times.map((time) => time ?? 0)),
    missing,
    rejections: resources.flatMap((resource) => rejectionOf(stream, resource)),
  };
}

function acknowledgedAtMs(stream: AdsStream, { type, name, version }: DesiredResource): number | undefined {
  const held = stream.subscription(type).held.get(name);
  return held?.version === version ? held.atMs : undefined;
}

function rejectionOf(stream: AdsStream, { type, name, version }: DesiredResource): readonly Rejection[] {
  const rejected = stream.subscription(type).rejected.get(name);
  return rejected?.version === version ? [{ type, name, message: rejected.message, atMs: rejected.atMs }] : [];
}

/** The connected proxies that hold the resource, or may: one that has not yet said what it holds counts. */
export function holdersOf(type: 'Cluster' | 'Listener', name: string, proxies: readonly ConnectedProxy[]): readonly Holder[] {
  return proxies
    .filter(({ stream }) => !stream.subscription(type).opened || stream.subscription(type).mayHold(name))
    .map(({ nodeId, stream }) => ({ nodeId, mayRoute: type === 'Cluster' && stream.mayRouteTo(name) }));
}
