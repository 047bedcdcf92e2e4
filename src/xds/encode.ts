import { createHash } from 'node:crypto';
import type { Resource, ResourceType } from '../traffic/resource.ts';
import { encodeMessage, messageType } from './envoy-message.ts';
import { encodeResponseEntry } from './discovery-message.ts';
import { typeUrlOf, typeUrlPrefix } from './resource-type.ts';

/** A resource ready for the wire. The bytes are shared by all streams: never write to them. */
export interface EncodedResource {
  readonly type: ResourceType;
  readonly name: string;
  /** Hash of the bytes: the same in every replica and after a restart, so that a proxy that reconnects is sent nothing it holds. */
  readonly version: string;
  /** One `resources` entry of a DeltaDiscoveryResponse, tag and length included. */
  readonly entry: Uint8Array;
  /** See `Resource.clusters`. */
  readonly clusters: readonly string[];
  /** Of a Cluster that takes its endpoints from EDS: the name of its ClusterLoadAssignment. */
  readonly endpointsName?: string;
}

const noClusters: readonly string[] = [];

/**
 * Throws an Error that names the path, such as `Cluster a.edsClusterConfig.foo: EdsClusterConfig has no such field`.
 * `givenVersion` takes the place of the hash.
 */
export function encodeResource(resource: Resource, givenVersion?: string): EncodedResource {
  const { type, name, body } = resource;
  const typeUrl = typeUrlOf(type);
  requireName(resource);
  const message = encodeMessage(messageType(typeUrl.slice(typeUrlPrefix.length)), body, `${type} ${name}`);
  const version = givenVersion ?? createHash('sha256').update(message).digest().toString('hex', 0, 8);
  const endpointsName = endpointsNameOf(resource);
  return {
    type,
    name,
    version,
    entry: encodeResponseEntry({ name, version, typeUrl, message }),
    clusters: resource.clusters ?? noClusters,
    ...(endpointsName === undefined ? {} : { endpointsName }),
  };
}

/** Envoy rejects a whole response when a resource's own name is not the one it is sent under. */
function requireName({ type, name, body }: Resource): void {
  const key = type === 'ClusterLoadAssignment' ? 'clusterName' : 'name';
  if (name === '' || body[key] !== name) throw new Error(`${type} ${name}.${key}: must be the resource's name, is ${JSON.stringify(body[key])}`);
}

function endpointsNameOf({ type, name, body }: Resource): string | undefined {
  if (type !== 'Cluster') return undefined;
  const config = body['edsClusterConfig'];
  if (typeof config !== 'object' || config === null) return undefined;
  return 'serviceName' in config && typeof config.serviceName === 'string' && config.serviceName !== '' ? config.serviceName : name;
}
