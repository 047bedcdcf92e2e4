import { expect, test } from '@jest/globals';
import type { EndpointSlice } from './endpoint.ts';
import { microserviceTraffic, type TrafficInput, type TrafficVersion } from './microservice-traffic.ts';
import type { Resource } from './resource.ts';

const slices = (...addresses: readonly string[]): readonly EndpointSlice[] => [
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'x' },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [{ name: 'http', port: 8080 }, { name: 'db', port: 5432 }],
  },
];
const version = (name: string, weight: number | undefined, ...addresses: readonly string[]): TrafficVersion => ({ name, weight, slices: slices(...addresses) });
const http = { name: 'http', protocol: 'HTTP', listenerPort: 10_001 } as const;
const tcp = { name: 'db', protocol: 'TCP', listenerPort: 10_002 } as const;
const input = (overrides: Partial<TrafficInput> = {}): TrafficInput => ({ name: 'hello', ports: [http], versions: [version('v1', 90, '10.0.0.1'), version('v2', 10, '10.0.0.2')], ...overrides });

const names = (resources: readonly Resource[], type: Resource['type']): readonly string[] => resources.filter((resource) => resource.type === type).map(({ name }) => name);

/** The resources of `after` that are not, byte for byte, in `before`. */
const edited = (before: TrafficInput, after: TrafficInput): readonly string[] => {
  const known = new Set(microserviceTraffic(before).resources.map((resource) => JSON.stringify(resource)));
  return microserviceTraffic(after).resources.filter((resource) => !known.has(JSON.stringify(resource))).map(({ type, name }) => `${type} ${name}`);
};

test('an HTTP port is a listener and a route over one cluster and one assignment per version', () => {
  const { resources, weights } = microserviceTraffic(input());
  expect(resources.map(({ type, name }) => `${type} ${name}`)).toEqual([
    'Cluster hello/v1/http',
    'Cluster hello/v2/http',
    'ClusterLoadAssignment hello/v1/http',
    'ClusterLoadAssignment hello/v2/http',
    'Listener hello/http',
    'RouteConfiguration hello/http',
  ]);
  expect([...weights]).toEqual([['v1', 90], ['v2', 10]]);
  expect(resources.at(-1)).toMatchObject({
    clusters: ['hello/v1/http', 'hello/v2/http'],
    body: { virtualHosts: [{ domains: ['*'], routes: [{ route: { weightedClusters: { clusters: [{ name: 'hello/v1/http', weight: { value: 90 } }, { name: 'hello/v2/http', weight: { value: 10 } }] } } }] }] },
  });
});

test('a request is tried again only where that is safe for every method, and has no time limit of ours', () => {
  const route = microserviceTraffic(input()).resources.at(-1);
  expect(route).toMatchObject({ body: { virtualHosts: [{ routes: [{ route: { timeout: { seconds: 0 }, retryPolicy: { retryOn: 'connect-failure,refused-stream,reset-before-request' } } }] }] } });
});

test('a weight edit is a route and nothing else, so no connection is touched', () => {
  expect(edited(input(), input({ versions: [version('v1', 50, '10.0.0.1'), version('v2', 50, '10.0.0.2')] }))).toEqual(['RouteConfiguration hello/http']);
});

test('a pod that comes is an assignment and nothing else', () => {
  expect(edited(input(), input({ versions: [version('v1', 90, '10.0.0.1', '10.0.0.3'), version('v2', 10, '10.0.0.2')] }))).toEqual(['ClusterLoadAssignment hello/v1/http']);
});

test('a version removed from the spec keeps its cluster and its endpoints while it drains, but no request goes there', () => {
  const { resources } = microserviceTraffic(input({ versions: [version('v1', 90, '10.0.0.1'), version('v2', undefined, '10.0.0.2')] }));
  expect(names(resources, 'Cluster')).toContain('hello/v2/http');
  expect(names(resources, 'ClusterLoadAssignment')).toContain('hello/v2/http');
  expect(resources.find(({ type }) => type === 'RouteConfiguration')?.clusters).toEqual(['hello/v1/http']);
});

test('the weight of a version without endpoints waits in the split at 0', () => {
  const { weights, resources } = microserviceTraffic(input({ versions: [version('v1', 90, '10.0.0.1'), version('v2', 10)] }));
  expect([...weights]).toEqual([['v1', 90], ['v2', 0]]);
  expect(resources.find(({ type }) => type === 'RouteConfiguration')?.clusters).toEqual(['hello/v1/http', 'hello/v2/http']);
});

test('a TCP port is one cluster over the pods of all versions, so a weight edit does not touch the listener', () => {
  const before = input({ ports: [tcp] });
  const after = input({ ports: [tcp], versions: [version('v1', 1, '10.0.0.1'), version('v2', 1, '10.0.0.2')] });
  const { resources } = microserviceTraffic(before);
  expect(resources.map(({ type, name }) => `${type} ${name}`)).toEqual(['Cluster hello/db', 'ClusterLoadAssignment hello/db', 'Listener hello/db']);
  expect(resources[2]?.clusters).toEqual(['hello/db']);
  expect(edited(before, after)).toEqual(['ClusterLoadAssignment hello/db']);
});

test('every cluster has its assignment, and every route and listener sends only to clusters that are there', () => {
  const { resources } = microserviceTraffic(input({ ports: [http, tcp, { name: 'api', protocol: 'GRPC', listenerPort: 10_003 }], versions: [version('v1', 0), version('v2', undefined, '10.0.0.2')] }));
  const clusters = names(resources, 'Cluster');
  expect(names(resources, 'ClusterLoadAssignment')).toEqual(clusters);
  for (const target of resources.flatMap((resource) => resource.clusters ?? [])) expect(clusters).toContain(target);
  expect(new Set(resources.map(({ type, name }) => `${type} ${name}`)).size).toBe(resources.length);
});

test('listeners listen where they were told to', () => {
  const { resources } = microserviceTraffic(input({ ports: [http, tcp] }));
  const ports = resources.filter(({ type }) => type === 'Listener').map(({ body }) => body['address']);
  expect(ports).toEqual([{ socketAddress: { address: '0.0.0.0', portValue: 10_001 } }, { socketAddress: { address: '0.0.0.0', portValue: 10_002 } }]);
});

test('the same input is the same output, and no input is written to', () => {
  const frozen = input({ ports: [http, tcp] });
  const before = structuredClone(frozen);
  expect(JSON.stringify(microserviceTraffic(frozen).resources)).toBe(JSON.stringify(microserviceTraffic(structuredClone(frozen)).resources));
  expect(frozen).toEqual(before);
});
