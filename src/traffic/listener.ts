import type { Protocol } from '../api/microservice.ts';
import type { Resource } from './resource.ts';

const CONNECTION_MANAGER = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';
const TCP_PROXY = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';

/** Names the listener and the route configuration of one port. */
export const listenerName = (microservice: string, port: string): string => `${microservice}/${port}`;

export function httpListener(name: string, port: number, protocol: Exclude<Protocol, 'TCP'>): Resource {
  return listener(name, port, [], {
    name: 'envoy.filters.network.http_connection_manager',
    typedConfig: any(CONNECTION_MANAGER, {
      statPrefix: name,
      codecType: 'AUTO',
      rds: { routeConfigName: name, configSource: { ads: {}, resourceApiVersion: 'V3', initialFetchTimeout: { seconds: 0 } } },
      httpFilters: [{ name: 'envoy.filters.http.router', typedConfig: any(ROUTER, {}) }],
      // The peer is the real one: nothing stands in front that could vouch for another X-Forwarded-For.
      useRemoteAddress: { value: true },
      // Our users' answers keep their own Server header.
      serverHeaderTransformation: 'PASS_THROUGH',
      upgradeConfigs: protocol === 'HTTP' ? [{ upgradeType: 'websocket' }] : [],
      // A quiet gRPC stream is not a dead one.
      streamIdleTimeout: { seconds: protocol === 'GRPC' ? 0 : 300 },
    }),
  });
}

export const tcpListener = (name: string, port: number, cluster: string): Resource =>
  listener(name, port, [cluster], {
    name: 'envoy.filters.network.tcp_proxy',
    typedConfig: any(TCP_PROXY, { statPrefix: name, cluster, maxConnectAttempts: { value: 3 } }),
  });

const listener = (name: string, port: number, clusters: readonly string[], filter: object): Resource => ({
  type: 'Listener',
  name,
  clusters,
  body: {
    name,
    address: { socketAddress: { address: '0.0.0.0', portValue: port } },
    filterChains: [{ filters: [filter] }],
    perConnectionBufferLimitBytes: { value: 1_048_576 },
  },
});

const any = (type: string, value: object): object => ({ typeUrl: `type.googleapis.com/${type}`, value });
