/** One xDS resource as plain data. */
export interface Resource {
  readonly type: ResourceType;
  /** Unique per type within one fleet. */
  readonly name: string;
  /** The message named by `type`, in the object form of protobufjs (lowerCamelCase keys, enums by name, `Any` as {typeUrl, value: message object}). */
  readonly body: Readonly<Record<string, unknown>>;
  /** RouteConfiguration and Listener: names of the clusters they send to, which a proxy must hold, endpoints included, before it may see this resource. */
  readonly clusters?: readonly string[];
}

export type ResourceType = 'Cluster' | 'ClusterLoadAssignment' | 'Listener' | 'RouteConfiguration';
