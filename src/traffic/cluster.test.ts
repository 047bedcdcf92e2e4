import { expect, test } from '@jest/globals';
import { assert, integer, property } from 'fast-check';
import { cluster, loadAssignment, tcpEndpoints, type WeightedEndpoint } from './cluster.ts';
import type { Endpoint } from './endpoint.ts';

const pods = (prefix: string, count: number, health: Endpoint['health'] = 'HEALTHY'): readonly Endpoint[] => Array.from({ length: count }, (_, index) => ({ address: `${prefix}.${index}`, port: 8080, health }));

const shareOf = (endpoints: readonly WeightedEndpoint[], prefix: string): number => {
  const sum = (list: readonly WeightedEndpoint[]): number => list.filter(({ health }) => health === 'HEALTHY').reduce((total, { weight = 0 }) => total + weight, 0);
  return sum(endpoints.filter(({ address }) => address.startsWith(prefix))) / sum(endpoints);
};

test('each version gets its share, however many pods it has', () => {
  assert(
    property(integer({ min: 1, max: 1_000_000 }), integer({ min: 1, max: 1_000_000 }), integer({ min: 1, max: 100 }), integer({ min: 1, max: 100 }), (a, b, podsOfA, podsOfB) => {
      const endpoints = tcpEndpoints([{ weight: a, endpoints: pods('a', podsOfA) }, { weight: b, endpoints: pods('b', podsOfB) }]);
      const wanted = a / (a + b);
      expect(Math.abs(shareOf(endpoints, 'a') - wanted)).toBeLessThan(1e-4 * Math.min(wanted, 1 - wanted) + 1e-6);
      expect(endpoints.every(({ weight = 0 }) => Number.isInteger(weight) && weight >= 1)).toBe(true);
    }),
  );
});

test('a version with weight 0 is left out, as Envoy knows no endpoint of weight 0', () => {
  const endpoints = tcpEndpoints([{ weight: 0, endpoints: pods('a', 2) }, { weight: 5, endpoints: pods('b', 1) }]);
  expect(endpoints.map(({ address }) => address)).toEqual(['b.0']);
  expect(tcpEndpoints([{ weight: 0, endpoints: pods('a', 2) }])).toEqual([]);
});

test('draining pods take no share', () => {
  const endpoints = tcpEndpoints([{ weight: 1, endpoints: [...pods('a', 1), ...pods('a.old', 9, 'DRAINING')] }, { weight: 1, endpoints: pods('b', 3) }]);
  expect(shareOf(endpoints, 'a')).toBeCloseTo(0.5, 6);
});

/** https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/endpoint/v3/endpoint_components.proto: the sum within a locality has to fit. */
test('the weights of one locality fit into 32 bits, also when 1 pod remains of 1,000', () => {
  const endpoints = tcpEndpoints([{ weight: 1, endpoints: [...pods('a', 1), ...pods('old', 999, 'DRAINING')] }]);
  expect(endpoints).toHaveLength(1_000);
  expect(endpoints.reduce((sum, { weight = 0 }) => sum + weight, 0)).toBeLessThan(2 ** 32);
});

test('only TCP clusters have no HTTP options, and gRPC speaks HTTP/2', () => {
  const options = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  expect(cluster('a', 'TCP').body).not.toHaveProperty('typedExtensionProtocolOptions');
  expect(cluster('a', 'GRPC').body).toMatchObject({ typedExtensionProtocolOptions: { [options]: { value: { explicitHttpConfig: { http2ProtocolOptions: {} } } } } });
  expect(cluster('a', 'HTTP').body).toMatchObject({ typedExtensionProtocolOptions: { [options]: { value: { explicitHttpConfig: { httpProtocolOptions: {} } } } } });
});

test('a cluster never panics to unhealthy pods and takes a changed weight at once', () => {
  expect(cluster('a', 'HTTP').body).toMatchObject({ type: 'EDS', commonLbConfig: { healthyPanicThreshold: { value: 0 }, updateMergeWindow: { seconds: 0 } } });
});

test('an assignment without endpoints is empty, not silent', () => {
  expect(loadAssignment('a', [])).toEqual({ type: 'ClusterLoadAssignment', name: 'a', body: { clusterName: 'a', endpoints: [] } });
  expect(loadAssignment('a', pods('a', 1)).body).toMatchObject({
    endpoints: [{ loadBalancingWeight: { value: 1 }, lbEndpoints: [{ healthStatus: 'HEALTHY', endpoint: { address: { socketAddress: { address: 'a.0', portValue: 8080 } } } }] }],
  });
});
