import type { KubernetesObject } from '../api/kubernetes-object.ts';

/** discovery.k8s.io/v1 */
export interface EndpointSlice extends KubernetesObject {
  readonly addressType: string;
  readonly endpoints?: readonly {
    readonly addresses: readonly string[];
    readonly conditions?: { readonly ready?: boolean; readonly serving?: boolean; readonly terminating?: boolean };
    readonly targetRef?: { readonly kind?: string; readonly name?: string; readonly uid?: string };
  }[];
  readonly ports?: readonly { readonly name?: string; readonly port?: number }[];
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
  /** Draining: finishes what it has, gets nothing new. */
  readonly health: 'HEALTHY' | 'DRAINING';
}

/**
 * The endpoints of one named port over all slices of a Service (KEP-1672): ready ones are healthy, terminating ones that still
 * serve are draining, the rest is left out. Where none is ready, those that still serve are better than an error.
 * In the order of their addresses, so that the same endpoints always encode to the same bytes.
 */
export function endpoints(slices: readonly EndpointSlice[], portName: string): readonly Endpoint[] {
  const found = new Map<string, Endpoint>();
  for (const slice of slices) {
    const port = slice.ports?.find((candidate) => candidate.name === portName)?.port;
    if (port === undefined || slice.addressType === 'FQDN') continue;
    for (const { addresses, conditions } of slice.endpoints ?? []) addEndpoint(found, { address: addresses[0] ?? '', port }, conditions);
  }
  const all = [...found].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, endpoint]) => endpoint);
  const isAnyHealthy = all.some((endpoint) => endpoint.health === 'HEALTHY');
  return isAnyHealthy ? all : all.map((endpoint) => ({ ...endpoint, health: 'HEALTHY' }));
}

type Conditions = NonNullable<EndpointSlice['endpoints']>[number]['conditions'];

/** While an endpoint moves from one slice to another it is in both: ready wins. */
function addEndpoint(found: Map<string, Endpoint>, at: Pick<Endpoint, 'address' | 'port'>, conditions: Conditions): void {
  const health = healthOf(conditions);
  const key = `${at.address}:${at.port}`;
  if (at.address !== '' && health !== undefined && (health === 'HEALTHY' || !found.has(key))) found.set(key, { ...at, health });
}

/** Undefined: leave it out. Unknown readiness counts as ready, as the API says. */
function healthOf({ ready = true, serving = ready, terminating = false }: NonNullable<Conditions> = {}): Endpoint['health'] | undefined {
  if (ready) return 'HEALTHY';
  return serving && terminating ? 'DRAINING' : undefined;
}

export const hasReadyEndpoint = (slices: readonly EndpointSlice[]): boolean =>
  slices.some((slice) => slice.endpoints?.some((endpoint) => endpoint.conditions?.ready !== false) ?? false);
