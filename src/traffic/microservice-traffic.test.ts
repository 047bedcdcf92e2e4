import { expect, test } from '@jest/globals';
import type { EndpointSlice } from './endpoint.ts';
import { type MicroserviceTraffic, microserviceTraffic, type TrafficInput, type TrafficVersion } from './microservice-traffic.ts';
import type { Resource } from './resource.ts';

const slicesOf = (ports: readonly string[], addresses: readonly string[]): readonly EndpointSlice[] => [
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'x' },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: ports.map((name) => ({ name, port: 8080 })),
  },
];
const version = (name: string, weight: number | undefined, ...addresses: readonly string[]): TrafficVersion => ({ name, weight, isServing: false, slices: slicesOf(['http', 'db'], addresses) });
const http = { name: 'http', protocol: 'HTTP', listenerPort: 10_001 } as const;
const tcp = { name: 'db', protocol: 'TCP', listenerPort: 10_002 } as const;
const input = (overrides: Partial<TrafficInput> = {}): TrafficInput => ({ name: 'hello', ports: [http], versions: [version('v1', 90, '10.0.0.1'), version('v2', 10, '10.0.0.2')], ...overrides });

const names = (resources: readonly Resource[], type: Resource['type']): readonly string[] => resources.filter((resource) => resource.type === type).map(({ name }) => name);

const resourcesOf = (traffic: MicroserviceTraffic): readonly Resource[] => [...traffic.byPort.values()].flat();

/** The resources of `after` that are not, byte for byte, in `before`. */
const edited = (before: TrafficInput, after: TrafficInput): readonly string[] => {
  const known = new Set(resourcesOf(microserviceTraffic(before)).map((resource) => JSON.stringify(resource)));
  return resourcesOf(microserviceTraffic(after)).filter((resource) => !known.has(JSON.stringify(resource))).map(({ type, name }) => `${type} ${name}`);
};

test('an HTTP port is a listener and a route over one cluster and one assignment per version', () => {
  const traffic = microserviceTraffic(input());
  const resources = resourcesOf(traffic);
  expect(resources.map(({ type, name }) => `${type} ${name}`)).toEqual([
    'Cluster hello/v1/http',
    'Cluster hello/v2/http',
    'ClusterLoadAssignment hello/v1/http',
    'ClusterLoadAssignment hello/v2/http',
    'Listener hello/http',
    'RouteConfiguration hello/http',
  ]);
  expect([...traffic.weights]).toEqual([['v1', 90], ['v2', 10]]);
  expect(resources.at(-1)).toMatchObject({
    clusters: ['hello/v1/http', 'hello/v2/http'],
    body: { virtualHosts: [{ domains: ['*'], routes: [{ route: { weightedClusters: { clusters: [{ name: 'hello/v1/http', weight: { value: 90 } }, { name: 'hello/v2/http', weight: { value: 10 } }] } } }] }] },
  });
});

test('a request is tried again only where that is safe for every method, and has no time limit of ours', () => {
  const route = resourcesOf(microserviceTraffic(input())).at(-1);
  expect(route).toMatchObject({ body: { virtualHosts: [{ routes: [{ route: { timeout: { seconds: 0 }, retryPolicy: { retryOn: 'connect-failure,refused-stream,reset-before-request' } } }] }] } });
});

test('a weight edit is a route and nothing else, so no connection is touched', () => {
  expect(edited(input(), input({ versions: [version('v1', 50, '10.0.0.1'), version('v2', 50, '10.0.0.2')] }))).toEqual(['RouteConfiguration hello/http']);
});

test('a pod that comes is an assignment and nothing else', () => {
  expect(edited(input(), input({ versions: [version('v1', 90, '10.0.0.1', '10.0.0.3'), version('v2', 10, '10.0.0.2')] }))).toEqual(['ClusterLoadAssignment hello/v1/http']);
});

test('a version removed from the spec keeps its cluster and its endpoints while it drains, but no request goes there', () => {
  const resources = resourcesOf(microserviceTraffic(input({ versions: [version('v1', 90, '10.0.0.1'), version('v2', undefined, '10.0.0.2')] })));
  expect(names(resources, 'Cluster')).toContain('hello/v2/http');
  expect(names(resources, 'ClusterLoadAssignment')).toContain('hello/v2/http');
  expect(resources.find(({ type }) => type === 'RouteConfiguration')?.clusters).toEqual(['hello/v1/http']);
});

test('the weight of a version without endpoints waits in the split at 0', () => {
  const traffic = microserviceTraffic(input({ versions: [version('v1', 90, '10.0.0.1'), version('v2', 10)] }));
  const resources = resourcesOf(traffic);
  expect([...traffic.weights]).toEqual([['v1', 90], ['v2', 0]]);
  expect(resources.find(({ type }) => type === 'RouteConfiguration')?.clusters).toEqual(['hello/v1/http', 'hello/v2/http']);
});

test('a TCP port is one cluster over the pods of all versions, so a weight edit does not touch the listener', () => {
  const before = input({ ports: [tcp] });
  const after = input({ ports: [tcp], versions: [version('v1', 1, '10.0.0.1'), version('v2', 1, '10.0.0.2')] });
  const resources = resourcesOf(microserviceTraffic(before));
  expect(resources.map(({ type, name }) => `${type} ${name}`)).toEqual(['Cluster hello/db', 'ClusterLoadAssignment hello/db', 'Listener hello/db']);
  expect(resources[2]?.clusters).toEqual(['hello/db']);
  expect(edited(before, after)).toEqual(['ClusterLoadAssignment hello/db']);
});

test('every cluster has its assignment, and every route and listener sends only to clusters that are there', () => {
  const resources = resourcesOf(microserviceTraffic(input({ ports: [http, tcp, { name: 'api', protocol: 'GRPC', listenerPort: 10_003 }], versions: [version('v1', 0), version('v2', undefined, '10.0.0.2')] })));
  const clusters = names(resources, 'Cluster');
  expect(names(resources, 'ClusterLoadAssignment')).toEqual(clusters);
  for (const target of resources.flatMap((resource) => resource.clusters ?? [])) expect(clusters).toContain(target);
  expect(new Set(resources.map(({ type, name }) => `${type} ${name}`)).size).toBe(resources.length);
});

test('listeners listen where they were told to', () => {
  const resources = resourcesOf(microserviceTraffic(input({ ports: [http, tcp] })));
  const ports = resources.filter(({ type }) => type === 'Listener').map(({ body }) => body['address']);
  expect(ports).toEqual([{ socketAddress: { address: '0.0.0.0', portValue: 10_001 } }, { socketAddress: { address: '0.0.0.0', portValue: 10_002 } }]);
});

test('the same input is the same output, and no input is written to', () => {
  const frozen = input({ ports: [http, tcp] });
  const before = structuredClone(frozen);
  expect(JSON.stringify(resourcesOf(microserviceTraffic(frozen)))).toBe(JSON.stringify(resourcesOf(microserviceTraffic(structuredClone(frozen)))));
  expect(frozen).toEqual(before);
});

test('each port has its own resources', () => {
  const { byPort } = microserviceTraffic(input({ ports: [http, tcp] }));
  expect([...byPort].map(([port, resources]) => [port, names(resources, 'Listener')])).toEqual([['http', ['hello/http']], ['db', ['hello/db']]]);
});

const admin = { name: 'admin', protocol: 'HTTP', listenerPort: 10_003 } as const;
const onPorts = (ports: readonly string[], ...addresses: readonly string[]): Pick<TrafficVersion, 'slices'> => ({ slices: slicesOf(ports, addresses) });

test('each port is weighted by its own endpoints: pods of a revision without the port get none of its requests', () => {
  const traffic = microserviceTraffic(
    input({ ports: [http, admin], versions: [{ ...version('v1', 90), ...onPorts(['http'], '10.0.0.1') }, { ...version('v2', 10), ...onPorts(['http', 'admin'], '10.0.0.2') }] }),
  );
  const split = (port: string): unknown => traffic.byPort.get(port)?.find(({ type }) => type === 'RouteConfiguration')?.body['virtualHosts'];
  const weighted = (v1: number, v2: number, port: string): object => [{ routes: [{ route: { weightedClusters: { clusters: [{ name: `hello/v1/${port}`, weight: { value: v1 } }, { name: `hello/v2/${port}`, weight: { value: v2 } }] } } }] }];
  expect(split('http')).toMatchObject(weighted(90, 10, 'http'));
  expect(split('admin')).toMatchObject(weighted(0, 10, 'admin'));
  expect([...traffic.weights]).toEqual([['v1', 90], ['v2', 10]]);
});

test.each<[string, Pick<TrafficVersion, 'slices'>, readonly string[]]>([
  ['only where a pod answers', onPorts(['http'], '10.0.0.1'), ['http']],
  ['everywhere once the pods with the new port are ready', onPorts(['http', 'admin'], '10.0.0.1'), ['http', 'admin']],
  ['everywhere when no pod is ready at all: nothing would be better for waiting', onPorts(['http', 'admin']), ['http', 'admin']],
])('a port is served %s', (_what, slices, served) => {
  expect([...microserviceTraffic(input({ ports: [http, admin], versions: [{ ...version('v1', 1), ...slices }] })).servedPorts]).toEqual(served);
});

test('the version that serves goes on while the one that is to follow is not ready', () => {
  const versions = [{ ...version('v1', 0, '10.0.0.1'), isServing: true }, version('v2', 100)];
  expect([...microserviceTraffic(input({ versions })).weights]).toEqual([['v1', 1], ['v2', 0]]);
  expect([...microserviceTraffic(input({ versions: [version('v1', 0, '10.0.0.1'), version('v2', 100)] })).weights]).toEqual([['v1', 0], ['v2', 100]]);
});
