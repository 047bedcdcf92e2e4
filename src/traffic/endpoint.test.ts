import { expect, test } from '@jest/globals';
import { endpoints, type EndpointSlice, hasReadyEndpoint } from './endpoint.ts';

type Endpoints = NonNullable<EndpointSlice['endpoints']>;

const slice = (given: Endpoints, overrides: Partial<EndpointSlice> = {}): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'hello--v1-abcde' },
  addressType: 'IPv4',
  endpoints: given,
  ports: [{ name: 'http', port: 8080 }],
  ...overrides,
});
const ready = (address: string): Endpoints[number] => ({ addresses: [address], conditions: { ready: true, serving: true, terminating: false } });
const ending = (address: string): Endpoints[number] => ({ addresses: [address], conditions: { ready: false, serving: true, terminating: true } });
const healthy = (address: string, port = 8080) => ({ address, port, health: 'HEALTHY' });
const draining = (address: string) => ({ address, port: 8080, health: 'DRAINING' });

/** KEP-1672. */
test.each<[string, Endpoints[number]['conditions'], 'HEALTHY' | 'DRAINING' | undefined]>([
  ['ready', { ready: true, serving: true, terminating: false }, 'HEALTHY'],
  ['unknown, which counts as ready', {}, 'HEALTHY'],
  ['without conditions', undefined, 'HEALTHY'],
  ['terminating and still serving', { ready: false, serving: true, terminating: true }, 'DRAINING'],
  ['terminating and done', { ready: false, serving: false, terminating: true }, undefined],
  ['starting', { ready: false, serving: false, terminating: false }, undefined],
  ['not ready, by a controller without serving', { ready: false }, undefined],
])('an endpoint that is %s', (_what, conditions, health) => {
  const found = endpoints([slice([{ addresses: ['10.0.0.1'], ...(conditions === undefined ? {} : { conditions }) }, ready('10.0.0.9')])], 'http');
  expect(found.find(({ address }) => address === '10.0.0.1')?.health).toBe(health);
  expect(found).toContainEqual(healthy('10.0.0.9'));
});

test('while an endpoint moves between slices it is in both: once, and ready wins, whichever comes first', () => {
  const slices = [slice([ending('10.0.0.1'), ready('10.0.0.2')]), slice([ready('10.0.0.1')])];
  expect(endpoints(slices, 'http')).toEqual([healthy('10.0.0.1'), healthy('10.0.0.2')]);
  expect(endpoints(slices.toReversed(), 'http')).toEqual(endpoints(slices, 'http'));
});

test('the port goes by its name, slice by slice', () => {
  const slices = [slice([ready('10.0.0.1')], { ports: [{ name: 'admin', port: 9000 }, { name: 'http', port: 8081 }] }), slice([ready('10.0.0.2')]), slice([ready('10.0.0.3')], { ports: [{ name: 'admin', port: 9000 }] })];
  expect(endpoints(slices, 'http')).toEqual([healthy('10.0.0.1', 8081), healthy('10.0.0.2')]);
  expect(endpoints(slices, 'other')).toEqual([]);
});

test('the same endpoints come in the same order, also one address with two ports', () => {
  const slices = [slice([ready('10.0.0.2')]), slice([ready('10.0.0.1')]), slice([ready('10.0.0.2')], { ports: [{ name: 'http', port: 8081 }] })];
  const [a, b, c] = slices as [EndpointSlice, EndpointSlice, EndpointSlice];
  const orders = [[a, b, c], [c, b, a], [b, c, a]].map((order) => JSON.stringify(endpoints(order, 'http')));
  expect(new Set(orders).size).toBe(1);
});

test('where none is ready, those that still serve are better than an error', () => {
  expect(endpoints([slice([ending('10.0.0.1'), ending('10.0.0.2')])], 'http')).toEqual([healthy('10.0.0.1'), healthy('10.0.0.2')]);
  expect(endpoints([slice([ending('10.0.0.1'), ready('10.0.0.2')])], 'http')).toEqual([draining('10.0.0.1'), healthy('10.0.0.2')]);
  expect(endpoints([], 'http')).toEqual([]);
});

test('where none even serves, the unready ones are better than nobody; those that have ended are none', () => {
  const unready = { addresses: ['10.0.0.1'], conditions: { ready: false, serving: false, terminating: false } };
  const ended = { addresses: ['10.0.0.2'], conditions: { ready: false, serving: false, terminating: true } };
  expect(endpoints([slice([unready, ended])], 'http')).toEqual([healthy('10.0.0.1')]);
  expect(endpoints([slice([unready, ending('10.0.0.3')])], 'http')).toEqual([healthy('10.0.0.3')]);
  expect(hasReadyEndpoint([slice([unready])], 'http')).toBe(false);
});

test('names instead of addresses are left out', () => {
  expect(endpoints([slice([ready('example.com')], { addressType: 'FQDN' })], 'http')).toEqual([]);
});

test('a version is ready with one ready endpoint in any slice', () => {
  expect(hasReadyEndpoint([slice([ending('10.0.0.1')]), slice([ready('10.0.0.2')])], 'http')).toBe(true);
  expect(hasReadyEndpoint([slice([ending('10.0.0.1')])], 'http')).toBe(false);
  expect(hasReadyEndpoint([], 'http')).toBe(false);
});

test('a ready pod of a revision that has not got the port is no ready endpoint of it', () => {
  const slices = [slice([ready('10.0.0.1')], { ports: [{ name: 'http', port: 8080 }] }), slice([ending('10.0.0.2')], { ports: [{ name: 'admin', port: 9000 }] })];
  expect(hasReadyEndpoint(slices, 'http')).toBe(true);
  expect(hasReadyEndpoint(slices, 'admin')).toBe(false);
});
