import type { ResourceType } from '../traffic/resource.ts';
import type { ClusterSerials, DesiredResource, FleetResources } from './fleet-resources.ts';
import type { Subscription } from './subscription.ts';

/**
 * Whether a proxy may see a listener or route now. It must hold the clusters it names, endpoints included, at least in the versions that
 * were in force when the route was set; else requests end in 503 NC or UH.
 * - waiting: something is on its way to the proxy.
 * - stuck: a cluster it lacks is desired by nobody, or the proxy rejected it. Only a change of the desired set helps.
 */
export type Readiness = 'ready' | 'waiting' | 'stuck';

/** What is compared: the fleet's desired resources with the state of one stream. */
export interface ProxyView {
  readonly fleet: FleetResources;
  readonly subscription: (type: ResourceType) => Subscription;
}

export function readinessOf(resource: DesiredResource, proxy: ProxyView): Readiness {
  const states = resource.clusters.flatMap((name) => clusterReadiness(name, resource.after.get(name), proxy));
  if (states.includes('stuck')) return 'stuck';
  return states.includes('waiting') ? 'waiting' : 'ready';
}

function clusterReadiness(name: string, serials: ClusterSerials | undefined, proxy: ProxyView): readonly Readiness[] {
  const cluster = resourceReadiness({ type: 'Cluster', name, serial: serials?.cluster }, proxy);
  const endpointsName = proxy.fleet.get('Cluster', name)?.endpointsName;
  if (endpointsName === undefined) return [cluster];
  return [cluster, resourceReadiness({ type: 'ClusterLoadAssignment', name: endpointsName, serial: serials?.endpoints }, proxy)];
}

interface Needed {
  readonly type: ResourceType;
  readonly name: string;
  /** At least this one; undefined: the current one. */
  readonly serial: number | undefined;
}

/** A rejected version is no reason to wait where an older one is in force: the last good one stays. */
function resourceReadiness({ type, name, serial }: Needed, proxy: ProxyView): Readiness {
  const subscription = proxy.subscription(type);
  const desired = proxy.fleet.get(type, name);
  const holdsAny = subscription.held.has(name);
  if (desired === undefined) return holdsAny ? 'ready' : 'stuck';
  if (heldSerial(subscription, desired) >= (serial ?? desired.serial)) return 'ready';
  if (subscription.rejected.get(name)?.version !== desired.version) return 'waiting';
  return holdsAny ? 'ready' : 'stuck';
}

function heldSerial(subscription: Subscription, { name, version, serial }: DesiredResource): number {
  const resource = subscription.held.get(name);
  if (resource === undefined) return -1;
  return resource.version === version ? serial : resource.serial;
}
