import type { Protocol } from '../api/microservice.ts';
import type { Endpoint } from './endpoint.ts';
import type { Resource } from './resource.ts';

const HTTP_PROTOCOL_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const CONNECT_TIMEOUT = { seconds: 2 };
/** Below the 5 s after which a Node server closes an idle connection: a request sent just then would be lost. */
const UPSTREAM_IDLE_TIMEOUT = { seconds: 4 };
/** Envoy's default of 1024 would turn a busy hour into 503s. */
const CONNECTION_LIMIT = 65_536;

/**
 * A pod that cannot be reached at all (its node is gone, or it ended while nobody told the proxies) is passed over instead of holding
 * every request for the connect timeout. What a pod answers is no reason. Never more than half of them, so never the only one.
 */
const outlierDetection = {
  splitExternalLocalOriginErrors: true,
  consecutiveLocalOriginFailure: { value: 3 },
  enforcingConsecutive_5xx: { value: 0 },
  enforcingSuccessRate: { value: 0 },
  enforcingLocalOriginSuccessRate: { value: 0 },
  maxEjectionPercent: { value: 50 },
  interval: { seconds: 1 },
  baseEjectionTime: { seconds: 5 },
  maxEjectionTime: { seconds: 30 },
};

/** Without a timeout: a proxy must not become Ready, or take a cluster into use, before it knows the endpoints. */
const overAds = { ads: {}, resourceApiVersion: 'V3', initialFetchTimeout: { seconds: 0 } };

export const clusterName = (microservice: string, version: string, port: string): string => `${microservice}/${version}/${port}`;

/** All versions behind one TCP port: weights are in the endpoints, since weighted clusters in a listener would drain its connections. */
export const tcpClusterName = (microservice: string, port: string): string => `${microservice}/${port}`;

export const cluster = (name: string, protocol: Protocol): Resource => ({
  type: 'Cluster',
  name,
  body: {
    name,
    type: 'EDS',
    edsClusterConfig: { edsConfig: overAds },
    connectTimeout: CONNECT_TIMEOUT,
    lbPolicy: 'ROUND_ROBIN',
    outlierDetection,
    commonLbConfig: {
      // Half of the pods being gone is no reason to send requests to them (the default panics at 50 %).
      healthyPanicThreshold: { value: 0 },
      // A changed weight must not wait for the merge window of 1 s.
      updateMergeWindow: { seconds: 0 },
    },
    circuitBreakers: {
      thresholds: [
        {
          maxConnections: { value: CONNECTION_LIMIT },
          maxPendingRequests: { value: CONNECTION_LIMIT },
          maxRequests: { value: CONNECTION_LIMIT },
          maxRetries: { value: CONNECTION_LIMIT },
        },
      ],
    },
    ...(protocol === 'TCP' ? {} : { typedExtensionProtocolOptions: { [HTTP_PROTOCOL_OPTIONS]: httpProtocolOptions(protocol) } }),
  },
});

const httpProtocolOptions = (protocol: 'HTTP' | 'GRPC'): object => ({
  typeUrl: `type.googleapis.com/${HTTP_PROTOCOL_OPTIONS}`,
  value:
    protocol === 'GRPC'
      ? { explicitHttpConfig: { http2ProtocolOptions: {} } }
      : { commonHttpProtocolOptions: { idleTimeout: UPSTREAM_IDLE_TIMEOUT }, explicitHttpConfig: { httpProtocolOptions: {} } },
});

export const loadAssignment = (name: string, endpoints: readonly WeightedEndpoint[]): Resource => ({
  type: 'ClusterLoadAssignment',
  name,
  body: {
    clusterName: name,
    endpoints: endpoints.length === 0 ? [] : [{ loadBalancingWeight: { value: 1 }, lbEndpoints: endpoints.map(lbEndpoint) }],
  },
});

export interface WeightedEndpoint extends Endpoint {
  readonly weight?: number;
}

const lbEndpoint = ({ address, port, health, weight }: WeightedEndpoint): object => ({
  endpoint: { address: { socketAddress: { address, portValue: port } } },
  healthStatus: health,
  ...(weight === undefined ? {} : { loadBalancingWeight: { value: weight } }),
});

/** Of one version: enough that a share of 1 in 1,000,000 over 100 pods is still an integer of its own. */
const SCALE = 100_000_000;

/**
 * Endpoint weights such that each version as a whole gets its share, however many pods it has. A version with weight 0 is left
 * out, as Envoy knows no endpoint weight 0; its draining connections stay, because TCP connections outlive their endpoint.
 */
export function tcpEndpoints(versions: readonly { readonly weight: number; readonly endpoints: readonly Endpoint[] }[]): readonly WeightedEndpoint[] {
  const total = versions.reduce((sum, version) => sum + version.weight, 0);
  return versions.flatMap(({ weight, endpoints }) => {
    if (weight === 0 || endpoints.length === 0) return [];
    const healthy = endpoints.filter((endpoint) => endpoint.health === 'HEALTHY').length;
    const each = Math.max(1, Math.round(((weight / total) * SCALE) / Math.max(1, healthy)));
    // A draining endpoint gets no connection, and all weights together have to fit into 32 bits.
    return endpoints.map((endpoint) => ({ ...endpoint, weight: endpoint.health === 'HEALTHY' ? each : 1 }));
  });
}
