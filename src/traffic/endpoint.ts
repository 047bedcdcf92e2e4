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

/** In the order in which they are wanted; an endpoint that ends and serves no more is none. */
type State = 'ready' | 'draining' | 'unready';

/**
 * The endpoints of one named port over all slices of a Service (KEP-1672): ready ones are healthy, terminating ones that still serve
 * are draining, unready ones are left out. Where none is ready, those that still serve take the requests; where none does, the unready
 * ones: the weights have moved elsewhere by then, and a request that was on its way to the version meets a pod instead of a 503.
 * In the order of their addresses, so that the same endpoints always encode to the same bytes.
 */
export function endpoints(slices: readonly EndpointSlice[], portName: string): readonly Endpoint[] {
  const found = states(slices, portName);
  const best = (['ready', 'draining', 'unready'] as const).find((state) => [...found.values()].some((candidate) => candidate.state === state));
  return [...found]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, { state, ...at }]): readonly Endpoint[] => {
      if (state === best) return [{ ...at, health: 'HEALTHY' }];
      return state === 'draining' ? [{ ...at, health: 'DRAINING' }] : [];
    });
}

interface Candidate extends Pick<Endpoint, 'address' | 'port'> {
  readonly state: State;
}

function states(slices: readonly EndpointSlice[], portName: string): ReadonlyMap<string, Candidate> {
  const found = new Map<string, Candidate>();
  for (const slice of slices) {
    const port = slice.ports?.find((candidate) => candidate.name === portName)?.port;
    if (port === undefined || slice.addressType === 'FQDN') continue;
    for (const { addresses, conditions } of slice.endpoints ?? []) add(found, { address: addresses[0] ?? '', port }, stateOf(conditions));
  }
  return found;
}

/** While an endpoint moves from one slice to another it is in both: ready wins. */
function add(found: Map<string, Candidate>, at: Pick<Endpoint, 'address' | 'port'>, state: State | undefined): void {
  const key = `${at.address}:${at.port}`;
  if (at.address !== '' && state !== undefined && (state === 'ready' || !found.has(key))) found.set(key, { ...at, state });
}

type Conditions = NonNullable<NonNullable<EndpointSlice['endpoints']>[number]['conditions']>;

/** Unknown readiness counts as ready, as the API says. */
function stateOf({ ready = true, serving = ready, terminating = false }: Conditions = {}): State | undefined {
  if (ready) return 'ready';
  if (!terminating) return 'unready';
  return serving ? 'draining' : undefined;
}

export const hasReadyEndpoint = (slices: readonly EndpointSlice[], portName: string): boolean =>
  [...states(slices, portName).values()].some(({ state }) => state === 'ready');
