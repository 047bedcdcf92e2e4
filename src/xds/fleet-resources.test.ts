import { expect, test } from '@jest/globals';
import type { Resource } from '../traffic/resource.ts';
import { encodeResource } from './encode.ts';
import { clusterResource, endpointsResource, listenerResource, routeResource } from './fake-proxy.ts';
import { FleetResources } from './fleet-resources.ts';

const set = (fleet: FleetResources, owner: string, resources: readonly Resource[], nowMs = 0): string[] =>
  [...fleet.set(owner, resources.map((resource) => encodeResource(resource)), nowMs)].flatMap(([type, names]) => [...names].map((name) => `${type} ${name}`));

test('only what has other bytes has changed', () => {
  const fleet = new FleetResources();
  expect(set(fleet, 'shop', [clusterResource('a'), clusterResource('b')])).toEqual(['Cluster a', 'Cluster b']);
  expect(set(fleet, 'shop', [clusterResource('b'), clusterResource('a')])).toEqual([]);
  expect(set(fleet, 'shop', [clusterResource('b', 2)])).toEqual(['Cluster b', 'Cluster a']);
  expect(fleet.get('Cluster', 'a')).toBeUndefined();
});

test('names belong to one owner until it lets go', () => {
  const fleet = new FleetResources();
  set(fleet, 'shop', [clusterResource('a')]);
  expect(() => set(fleet, 'cart', [clusterResource('a')])).toThrow('Cluster a of cart already belongs to shop');
  expect(() => set(fleet, 'cart', [clusterResource('b'), clusterResource('b')])).toThrow('given twice');
  expect(fleet.get('Cluster', 'b')).toBeUndefined();
  set(fleet, 'shop', []);
  expect(set(fleet, 'cart', [clusterResource('a')])).toEqual(['Cluster a']);
  expect([...fleet.owners()]).toEqual(['shop', 'cart']);
  fleet.forget('shop');
  fleet.forget('cart');
  expect([...fleet.owners()]).toEqual(['cart']);
});

test('what proves: listeners and routes, and endpoints only where a listener names their cluster', () => {
  const fleet = new FleetResources();
  const http = (port: number): Resource[] => [clusterResource('v1'), endpointsResource('v1', [port]), listenerResource('http'), routeResource('http', { v1: 1 })];
  const tcp = (port: number): Resource[] => [clusterResource('db'), endpointsResource('db', [port]), listenerResource('tcp', ['db'])];
  set(fleet, 'shop', [...http(1), ...tcp(1)], 10);
  const first = fleet.owned('shop');
  expect(first.proving.map(({ type, name }) => `${type} ${name}`)).toEqual(['ClusterLoadAssignment db', 'Listener http', 'Listener tcp', 'RouteConfiguration http']);
  set(fleet, 'shop', [...http(2), ...tcp(1)], 20);
  expect(fleet.owned('shop')).toMatchObject({ hash: first.hash, setAtMs: 10 });
  set(fleet, 'shop', [...http(2), ...tcp(2)], 30);
  expect(fleet.owned('shop').hash).not.toBe(first.hash);
  expect(fleet.owned('shop').setAtMs).toBe(30);
});
