import type { Resource } from './resource.ts';

export interface WeightedCluster {
  readonly cluster: string;
  readonly weight: number;
}

/**
 * One route for everything, split by weight. Clusters with weight 0 are in it, so that raising a weight is a change of this
 * resource alone and touches no connection. The sum of the weights has to be positive, as Envoy rejects 0.
 */
export const routeConfiguration = (name: string, split: readonly WeightedCluster[]): Resource => ({
  type: 'RouteConfiguration',
  name,
  clusters: split.map(({ cluster }) => cluster),
  body: {
    name,
    virtualHosts: [
      {
        name,
        domains: ['*'],
        routes: [
          {
            match: { prefix: '/' },
            route: {
              weightedClusters: { clusters: split.map(({ cluster, weight }) => ({ name: cluster, weight: { value: weight } })) },
              // No limit of our own making: a request may take as long as its service needs.
              timeout: { seconds: 0 },
              retryPolicy,
            },
          },
        ],
      },
    ],
  },
});

/** Only what is safe for every method: the request never reached the service. */
const retryPolicy = {
  retryOn: 'connect-failure,refused-stream,reset-before-request',
  numRetries: { value: 3 },
  retryHostPredicate: [
    {
      name: 'envoy.retry_host_predicates.previous_hosts',
      typedConfig: { typeUrl: 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate', value: {} },
    },
  ],
  hostSelectionRetryMaxAttempts: 5,
  retryBackOff: { baseInterval: { nanos: 5_000_000 }, maxInterval: { nanos: 50_000_000 } },
};
