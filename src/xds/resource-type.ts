import type { ResourceType } from '../traffic/resource.ts';

/** In the order in which a proxy must learn of additions: what is sent to before what sends (Envoy, xds_protocol.rst, "Eventual consistency considerations"). */
export const resourceTypes: readonly ResourceType[] = ['Cluster', 'ClusterLoadAssignment', 'Listener', 'RouteConfiguration'];

const messageNames: Readonly<Record<ResourceType, string>> = {
  Cluster: 'envoy.config.cluster.v3.Cluster',
  ClusterLoadAssignment: 'envoy.config.endpoint.v3.ClusterLoadAssignment',
  Listener: 'envoy.config.listener.v3.Listener',
  RouteConfiguration: 'envoy.config.route.v3.RouteConfiguration',
};

/** The prefix of every `Any.type_url`. */
export const typeUrlPrefix = 'type.googleapis.com/';

export const typeUrlOf = (type: ResourceType): string => typeUrlPrefix + messageNames[type];

const typesByUrl: ReadonlyMap<string, ResourceType> = new Map(resourceTypes.map((type) => [typeUrlOf(type), type]));

/** Undefined for a type that is not served. */
export const typeOfUrl = (typeUrl: string): ResourceType | undefined => typesByUrl.get(typeUrl);
