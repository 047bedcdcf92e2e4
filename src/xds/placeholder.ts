import type { Resource, ResourceType } from '../traffic/resource.ts';
import { encodeResource, type EncodedResource } from './encode.ts';

/** Never equal to the hash of a resource. */
export const placeholderVersion = 'placeholder';

/** What answers a name for which there is nothing to send: no endpoints, or a route that answers 503. Undefined for types that can be removed by name. */
export function placeholderOf(type: ResourceType, name: string): EncodedResource | undefined {
  const body = placeholderBody(type, name);
  return body === undefined ? undefined : encodeResource({ type, name, body }, placeholderVersion);
}

function placeholderBody(type: ResourceType, name: string): Resource['body'] | undefined {
  if (type === 'ClusterLoadAssignment') return { clusterName: name };
  if (type !== 'RouteConfiguration') return undefined;
  const route = { match: { prefix: '/' }, directResponse: { status: 503, body: { inlineString: 'no route has been configured yet\n' } } };
  return { name, virtualHosts: [{ name: 'unconfigured', domains: ['*'], routes: [route] }] };
}
