import type { Resource, ResourceType } from '../traffic/resource.ts';
import { AdsStream } from './ads-stream.ts';
import type { DiscoveryRequest } from './discovery-message.ts';
import type { FleetResources } from './fleet-resources.ts';
import { messageType } from './envoy-message.ts';
import { resourceTypes, typeOfUrl, typeUrlOf } from './resource-type.ts';

/** One response as the proxy reads it. */
export interface Received {
  readonly type: ResourceType;
  readonly nonce: string;
  /** Name to version. */
  readonly resources: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
}

const responseType = messageType('envoy.service.discovery.v3.DeltaDiscoveryResponse');

interface ResponseMessage {
  readonly typeUrl?: string;
  readonly nonce?: string;
  readonly resources?: readonly { readonly name: string; readonly version: string }[];
  readonly removedResources?: readonly string[];
}

export function readResponse(bytes: Uint8Array): Received {
  const message: ResponseMessage = responseType.toObject(responseType.decode(bytes));
  const type = typeOfUrl(message.typeUrl ?? '');
  if (type === undefined) throw new Error(`no type ${message.typeUrl}`);
  const resources = new Map((message.resources ?? []).map(({ name, version }) => [name, version]));
  return { type, nonce: message.nonce ?? '', resources, removed: message.removedResources ?? [] };
}

/** The bodies of a service with one HTTP port, as src/traffic makes them, reduced to what order depends on. */
export const clusterResource = (name: string, connectSeconds = 1): Resource => ({
  type: 'Cluster',
  name,
  body: { name, type: 'EDS', edsClusterConfig: { edsConfig: { ads: {} } }, connectTimeout: { seconds: connectSeconds } },
});

export const endpointsResource = (name: string, ports: readonly number[] = [8080]): Resource => ({
  type: 'ClusterLoadAssignment',
  name,
  body: {
    clusterName: name,
    endpoints: [{ lbEndpoints: ports.map((portValue) => ({ endpoint: { address: { socketAddress: { address: '127.0.0.1', portValue } } } })) }],
  },
});

export const routeResource = (name: string, weights: Readonly<Record<string, number>>): Resource => ({
  type: 'RouteConfiguration',
  name,
  clusters: Object.keys(weights),
  body: {
    name,
    virtualHosts: [
      {
        name,
        domains: ['*'],
        routes: [{ match: { prefix: '/' }, route: { weightedClusters: { clusters: Object.entries(weights).map(([cluster, value]) => ({ name: cluster, weight: { value } })) } } }],
      },
    ],
  },
});

export const listenerResource = (name: string, clusters: readonly string[] = [], portValue = 10_000): Resource => ({
  type: 'Listener',
  name,
  clusters,
  body: { name, address: { socketAddress: { address: '0.0.0.0', portValue } } },
});

export interface FakeProxyOptions {
  readonly fleet: FleetResources;
  readonly nowMs: () => number;
  readonly removalDelayMs: number;
  /** Name to cluster names, of what the proxy is given: what a real one would read in the bytes. */
  readonly clustersOf: (type: ResourceType, name: string, version: string) => readonly string[];
  /** Whether the proxy refuses a resource. Default: none. */
  readonly refuses?: (type: ResourceType, name: string, version: string) => boolean;
}

/**
 * A proxy that subscribes and answers as Envoy does: endpoints by the clusters it has, routes by the listeners it has (a listener's route has
 * the listener's name). Responses wait in `inbox` until `step`. It checks the order itself: `faults` lists what would have lost requests.
 */
export class FakeProxy {
  readonly config = new Map<ResourceType, Map<string, string>>(resourceTypes.map((type) => [type, new Map()]));
  readonly inbox: Received[] = [];
  readonly received: Received[] = [];
  readonly faults: string[] = [];
  stream: AdsStream;
  dueMs: number | undefined;
  readonly #options: FakeProxyOptions;

  constructor(options: FakeProxyOptions) {
    this.#options = options;
    this.stream = this.#newStream();
  }

  held(type: ResourceType): Map<string, string> {
    const held = this.config.get(type);
    if (held === undefined) throw new Error(type);
    return held;
  }

  /** A new stream, with what is held reported. */
  connect(): void {
    this.inbox.length = 0;
    this.stream = this.#newStream();
    for (const type of resourceTypes) {
      const names = type === 'ClusterLoadAssignment' || type === 'RouteConfiguration' ? this.#needed(type) : [];
      if (names.length > 0 || type === 'Cluster' || type === 'Listener') this.send({ typeUrl: typeUrlOf(type), subscribe: names, initialVersions: new Map(this.held(type)) });
    }
  }

  send(request: Partial<DiscoveryRequest>): void {
    this.stream.receive({ nodeId: 'proxy', typeUrl: '', subscribe: [], unsubscribe: [], initialVersions: new Map(), nonce: '', rejection: undefined, ...request });
  }

  /** Takes in one waiting response and answers it; false when there is none. `index` chooses among the types, as their ACKs are independent. */
  step(index = 0): boolean {
    const received = this.inbox.splice(index % Math.max(1, this.inbox.length), 1)[0];
    if (received === undefined) return false;
    const bad = [...received.resources].filter(([name, version]) => this.#options.refuses?.(received.type, name, version) ?? false).map(([name]) => name);
    this.#apply(received, new Set(bad));
    const typeUrl = typeUrlOf(received.type);
    this.send({ typeUrl, nonce: received.nonce, rejection: bad.length > 0 ? `bad: ${bad.join()}` : undefined });
    this.#followSubscriptions();
    return true;
  }

  settle(): void {
    while (this.step());
  }

  #newStream(): AdsStream {
    const { fleet, nowMs, removalDelayMs } = this.#options;
    return new AdsStream({
      fleet,
      nowMs,
      removalDelayMs,
      wakeAt: (dueMs) => {
        this.dueMs = dueMs;
      },
      write: (bytes) => {
        const received = readResponse(bytes);
        this.inbox.push(received);
        this.received.push(received);
        return true;
      },
    });
  }

  #needed(type: ResourceType): string[] {
    return [...this.held(type === 'RouteConfiguration' ? 'Listener' : 'Cluster').keys()];
  }

  /** Envoy takes the good resources of a response and reports the bad ones; of routes and endpoints likewise, as each has its own watch. */
  #apply({ type, resources, removed }: Received, bad: ReadonlySet<string>): void {
    const held = this.held(type);
    for (const [name, version] of resources) {
      if (bad.has(name)) continue;
      held.set(name, version);
      for (const cluster of this.#options.clustersOf(type, name, version)) if (!this.#canServe(cluster)) this.faults.push(`${type} ${name} before ${cluster}`);
    }
    for (const name of removed) {
      held.delete(name);
      if (type === 'Cluster' && this.#routesTo(name)) this.faults.push(`${name} removed while routed to`);
    }
  }

  #canServe(cluster: string): boolean {
    const endpoints = this.held('ClusterLoadAssignment').get(cluster);
    return this.held('Cluster').has(cluster) && endpoints !== undefined && endpoints !== 'placeholder';
  }

  #routesTo(cluster: string): boolean {
    return (['Listener', 'RouteConfiguration'] as const).some((type) =>
      [...this.held(type)].some(([name, version]) => this.#options.clustersOf(type, name, version).includes(cluster)),
    );
  }

  #followSubscriptions(): void {
    for (const type of ['ClusterLoadAssignment', 'RouteConfiguration'] as const) {
      const needed = this.#needed(type);
      const subscription = this.stream.subscription(type);
      const subscribe = needed.filter((name) => !subscription.wants(name));
      const unsubscribe = [...this.held(type).keys()].filter((name) => !needed.includes(name));
      for (const name of unsubscribe) this.held(type).delete(name);
      if (subscribe.length > 0 || unsubscribe.length > 0) this.send({ typeUrl: typeUrlOf(type), subscribe, unsubscribe });
    }
  }
}
