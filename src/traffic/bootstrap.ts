/** What an Envoy proxy of a fleet is started with. Everything else comes from the operator, by delta ADS over mTLS. */

export interface BootstrapInput {
  /** Where the ADS server is found, by DNS; also the name that its certificate must carry. Several addresses: the first that accepts TCP connections serves. */
  readonly xdsHost: string;
  readonly xdsPort: number;
  /** Where `/ready` and `/stats/prometheus` are answered, on all addresses. */
  readonly readyPort: number;
  /** Envoy's admin interface, on 127.0.0.1 only. */
  readonly adminPort: number;
  /** Where the files of the fleet's Secret are mounted: tls.crt, tls.key, ca.crt and those of `secretDiscoveryFiles`. */
  readonly certificateDirectory: string;
}

const CERTIFICATE_FILE = 'certificate.sds.json';
const AUTHORITY_FILE = 'authority.sds.json';

/** envoy.config.bootstrap.v3.Bootstrap in the JSON mapping of proto3, for `--config-yaml`. */
export function envoyBootstrap(input: BootstrapInput): object {
  return {
    admin: { address: socketAddress('127.0.0.1', input.adminPort) },
    dynamicResources: { adsConfig, cdsConfig: overAds, ldsConfig: overAds },
    staticResources: { listeners: [readyListener(input.readyPort)], clusters: [xdsCluster(input), adminCluster(input.adminPort)] },
    statsConfig: { statsMatcher: { inclusionList: { patterns: [...statNames.map((exact) => ({ exact })), ...statSuffixes.map((suffix) => ({ suffix }))] } } },
  };
}

/**
 * Files by name that belong beside tls.crt, tls.key and ca.crt in the fleet's Secret. They never change: they tell Envoy to read those
 * three files, and again when the kubelet swaps the directory.
 */
export function secretDiscoveryFiles(certificateDirectory: string): Readonly<Record<string, string>> {
  const file = (name: string): object => ({ filename: `${certificateDirectory}/${name}` });
  const watchedDirectory = { path: certificateDirectory };
  return {
    [CERTIFICATE_FILE]: secretDiscovery({ name: 'certificate', tlsCertificate: { certificateChain: file('tls.crt'), privateKey: file('tls.key'), watchedDirectory } }),
    [AUTHORITY_FILE]: secretDiscovery({ name: 'authority', validationContext: { trustedCa: file('ca.crt'), watchedDirectory } }),
  };
}

const secretDiscovery = (secret: object): string =>
  JSON.stringify({ resources: [{ '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret', ...secret }] });

const adsConfig = {
  apiType: 'DELTA_GRPC',
  transportApiVersion: 'V3',
  setNodeOnFirstMessageOnly: true,
  // The default goes up to 30 s, which is how long a proxy would miss changes after a change of leader.
  grpcServices: [{ envoyGrpc: { clusterName: 'xds', retryPolicy: { retryBackOff: { baseInterval: '0.2s', maxInterval: '2s' } } } }],
};

/** Without a timeout: a proxy must not call itself ready before it holds its configuration. */
const overAds = { ads: {}, resourceApiVersion: 'V3', initialFetchTimeout: '0s' };

/** Few: a proxy keeps every statistic for every cluster and listener, and a thousand services have two thousand of them. */
const statNames = ['server.live', 'server.uptime', 'server.memory_allocated', 'control_plane.connected_state', 'cluster_manager.active_clusters', 'cluster_manager.warming_clusters', 'listener_manager.total_listeners_active'];
const statSuffixes = ['.upstream_rq_total', '.upstream_rq_5xx', '.upstream_cx_connect_fail', '.membership_healthy', '.downstream_cx_active', '.downstream_cx_total'];

/**
 * Only the leader of the operator accepts connections, so the TCP check finds it among the addresses. The check does without TLS:
 * a handshake with each proxy every other second would be the operator's main work.
 */
function xdsCluster(input: BootstrapInput): object {
  return {
    name: 'xds',
    clusterType: { name: 'envoy.cluster.dns', typedConfig: strictDns },
    connectTimeout: '1s',
    loadAssignment: loadAssignment('xds', input.xdsHost, input.xdsPort),
    healthChecks: [
      {
        timeout: '1s',
        interval: '2s',
        noTrafficInterval: '2s',
        unhealthyInterval: '0.5s',
        unhealthyThreshold: 1,
        healthyThreshold: 1,
        tcpHealthCheck: {},
        transportSocketMatchCriteria: { isHealthCheck: true },
      },
    ],
    ignoreHealthOnHostRemoval: true,
    commonLbConfig: { healthyPanicThreshold: { value: 0 } },
    typedExtensionProtocolOptions: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': any('envoy.extensions.upstreams.http.v3.HttpProtocolOptions', {
        explicitHttpConfig: { http2ProtocolOptions: { connectionKeepalive: { interval: '5s', timeout: '3s' } } },
      }),
    },
    transportSocketMatches: [
      {
        name: 'health check',
        match: { isHealthCheck: true },
        transportSocket: { name: 'envoy.transport_sockets.raw_buffer', typedConfig: any('envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer', {}) },
      },
    ],
    transportSocket: { name: 'envoy.transport_sockets.tls', typedConfig: mutualTls(input) },
  };
}

/** Each address an endpoint of its own. */
const strictDns = any('envoy.extensions.clusters.dns.v3.DnsCluster', {
  allAddressesInSingleEndpoint: false,
  dnsLookupFamily: 'ALL',
  dnsRefreshRate: '2s',
  dnsFailureRefreshRate: { baseInterval: '0.5s', maxInterval: '2s' },
});

const mutualTls = ({ xdsHost, certificateDirectory }: BootstrapInput): object =>
  any('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
    sni: xdsHost,
    commonTlsContext: {
      tlsParams: { tlsMinimumProtocolVersion: 'TLSv1_3', tlsMaximumProtocolVersion: 'TLSv1_3' },
      tlsCertificateSdsSecretConfigs: [secretFrom('certificate', `${certificateDirectory}/${CERTIFICATE_FILE}`, certificateDirectory)],
      combinedValidationContext: {
        defaultValidationContext: { matchTypedSubjectAltNames: [{ sanType: 'DNS', matcher: { exact: xdsHost } }] },
        validationContextSdsSecretConfig: secretFrom('authority', `${certificateDirectory}/${AUTHORITY_FILE}`, certificateDirectory),
      },
    },
  });

const secretFrom = (name: string, path: string, watched: string): object => ({
  name,
  sdsConfig: { pathConfigSource: { path, watchedDirectory: { path: watched } }, resourceApiVersion: 'V3' },
});

const adminCluster = (port: number): object => ({
  name: 'admin',
  type: 'STATIC',
  connectTimeout: '1s',
  loadAssignment: loadAssignment('admin', '127.0.0.1', port),
});

/** Static listeners open when the first configuration has been taken in, so `/ready` answers from then on. */
const readyListener = (port: number): object => ({
  name: 'ready',
  address: socketAddress('0.0.0.0', port),
  filterChains: [
    {
      filters: [
        {
          name: 'envoy.filters.network.http_connection_manager',
          typedConfig: any('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
            statPrefix: 'ready',
            httpFilters: [
              {
                name: 'envoy.filters.http.health_check',
                typedConfig: any('envoy.extensions.filters.http.health_check.v3.HealthCheck', {
                  passThroughMode: false,
                  headers: [{ name: ':path', stringMatch: { exact: '/ready' } }],
                }),
              },
              { name: 'envoy.filters.http.router', typedConfig: any('envoy.extensions.filters.http.router.v3.Router', {}) },
            ],
            routeConfig: { virtualHosts: [{ name: 'metrics', domains: ['*'], routes: [{ match: metricsMatch, route: { cluster: 'admin' } }] }] },
          }),
        },
      ],
    },
  ],
});

/** The one page of the admin interface that others may read. */
const metricsMatch = { path: '/stats/prometheus', headers: [{ name: ':method', stringMatch: { exact: 'GET' } }] };

const loadAssignment = (clusterName: string, address: string, port: number): object => ({
  clusterName,
  endpoints: [{ lbEndpoints: [{ endpoint: { address: socketAddress(address, port) } }] }],
});

const socketAddress = (address: string, portValue: number): object => ({ socketAddress: { address, portValue } });

function any(type: string, message: object): object {
  return { '@type': `type.googleapis.com/${type}`, ...message };
}
