import { createHash } from 'node:crypto';
import type { ResourceType } from '../traffic/resource.ts';
import type { EncodedResource } from './encode.ts';
import { resourceTypes } from './resource-type.ts';

/** A resource that the proxies of one fleet should hold. */
export interface DesiredResource extends EncodedResource {
  readonly owner: string;
  /** Grows with every change in the fleet: of two versions of one resource the later has the greater. */
  readonly serial: number;
  /** Of each cluster it sends to: the serials in force when this version was set. */
  readonly after: ReadonlyMap<string, ClusterSerials>;
}

export interface ClusterSerials {
  readonly cluster: number;
  readonly endpoints: number | undefined;
}

export type ChangedNames = ReadonlyMap<ResourceType, ReadonlySet<string>>;

/** What one owner wants, as far as the receipt goes. */
export interface OwnedResources {
  readonly resources: readonly DesiredResource[];
  /**
   * Those whose ACK proves that the traffic flows as asked: listeners, routes, and the endpoints of clusters that a listener names itself
   * (TCP weights live in them). Endpoints behind a route change with every pod and prove nothing about weights.
   */
  readonly proving: readonly DesiredResource[];
  /** Over names and versions of `proving`: the same after a restart. */
  readonly hash: string;
  /** When `hash` last changed. */
  readonly setAtMs: number;
}

/** Shared by all that send nowhere: a Map of their own for thousands of clusters would outweigh their bytes. */
const noSerials: ReadonlyMap<string, ClusterSerials> = new Map();

const nothingOwned: OwnedResources = { resources: [], proving: [], hash: '', setAtMs: 0 };

/** The desired resources of one fleet, that is, of one namespace. Each owner sets its own; names are unique per type over all owners. */
export class FleetResources {
  readonly #byType = new Map<ResourceType, Map<string, DesiredResource>>(resourceTypes.map((type) => [type, new Map()]));
  readonly #owners = new Map<string, OwnedResources>();
  #serial = 0;

  get(type: ResourceType, name: string): DesiredResource | undefined {
    return this.#byType.get(type)?.get(name);
  }

  names(type: ResourceType): IterableIterator<string> {
    return this.#names(type).keys();
  }

  owners(): IterableIterator<string> {
    return this.#owners.keys();
  }

  owned(owner: string): OwnedResources {
    return this.#owners.get(owner) ?? nothingOwned;
  }

  /** Replaces everything that `owner` wants. A resource of the same version is left as it is. Throws, with nothing changed, when another owner has a name. */
  set(owner: string, resources: readonly EncodedResource[], nowMs: number): ChangedNames {
    this.#requireFreeNames(owner, resources);
    const changed = new Map<ResourceType, Set<string>>(resourceTypes.map((type) => [type, new Set()]));
    const before = this.owned(owner);
    // In this order `after` sees the clusters and endpoints of the same call.
    const now = resourceTypes.flatMap((type) => resources.filter((resource) => resource.type === type).map((resource) => this.#put(owner, resource, changed)));
    const kept = new Set(now.map(({ type, name }) => `${type} ${name}`));
    for (const { type, name } of before.resources) {
      if (kept.has(`${type} ${name}`)) continue;
      this.#names(type).delete(name);
      changed.get(type)?.add(name);
    }
    this.#owners.set(owner, describe(now, before, nowMs));
    return changed;
  }

  /** Forgets an owner that wants nothing any more. */
  forget(owner: string): void {
    if (this.owned(owner).resources.length === 0) this.#owners.delete(owner);
  }

  #put(owner: string, resource: EncodedResource, changed: ReadonlyMap<ResourceType, Set<string>>): DesiredResource {
    const names = this.#names(resource.type);
    const current = names.get(resource.name);
    if (current?.version === resource.version) return current;
    this.#serial += 1;
    const desired = { ...resource, owner, serial: this.#serial, after: this.#serialsOf(resource.clusters) };
    names.set(resource.name, desired);
    changed.get(resource.type)?.add(resource.name);
    return desired;
  }

  #serialsOf(clusters: readonly string[]): ReadonlyMap<string, ClusterSerials> {
    if (clusters.length === 0) return noSerials;
    const serials = new Map<string, ClusterSerials>();
    for (const name of clusters) {
      const cluster = this.get('Cluster', name);
      if (cluster === undefined) continue;
      const endpoints = cluster.endpointsName === undefined ? undefined : this.get('ClusterLoadAssignment', cluster.endpointsName)?.serial;
      serials.set(name, { cluster: cluster.serial, endpoints });
    }
    return serials;
  }

  #names(type: ResourceType): Map<string, DesiredResource> {
    const names = this.#byType.get(type);
    if (names === undefined) throw new Error(`no resource type ${type}`);
    return names;
  }

  #requireFreeNames(owner: string, resources: readonly EncodedResource[]): void {
    const seen = new Set<string>();
    for (const { type, name } of resources) {
      const holder = this.get(type, name)?.owner ?? owner;
      if (holder !== owner) throw new Error(`${type} ${name} of ${owner} already belongs to ${holder}`);
      if (seen.has(`${type} ${name}`)) throw new Error(`${type} ${name} of ${owner} is given twice`);
      seen.add(`${type} ${name}`);
    }
  }
}

function describe(resources: readonly DesiredResource[], before: OwnedResources, nowMs: number): OwnedResources {
  const proving = resources.filter((resource) => proves(resource, resources));
  const hash = hashOf(proving);
  return { resources, proving, hash, setAtMs: hash === before.hash ? before.setAtMs : nowMs };
}

function proves(resource: DesiredResource, all: readonly DesiredResource[]): boolean {
  if (resource.type === 'Cluster') return false;
  if (resource.type !== 'ClusterLoadAssignment') return true;
  const clusters = new Set(all.filter(({ type, endpointsName }) => type === 'Cluster' && endpointsName === resource.name).map(({ name }) => name));
  return all.some((listener) => listener.type === 'Listener' && listener.clusters.some((name) => clusters.has(name)));
}

function hashOf(resources: readonly DesiredResource[]): string {
  if (resources.length === 0) return '';
  const lines = resources.map(({ type, name, version }) => `${type} ${name} ${version}`).toSorted();
  return createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16);
}
