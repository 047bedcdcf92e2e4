import { expect, test } from '@jest/globals';
import { fleetLabels } from '../desired/names.ts';
import type { Pod, Service } from '../desired/observed.ts';
import type { EndpointSlice } from '../traffic/endpoint.ts';
import { LeavingProxies } from './leaving-proxies.ts';

const MARGIN_MS = 5_000;

const pod = (uid: string, podIP?: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: `fleet-${uid}`, namespace: 'shop', uid, deletionTimestamp: '2026-03-01T10:00:00Z' },
  status: podIP === undefined ? {} : { podIP },
});
const service = (name: string, selector: Readonly<Record<string, string>> = fleetLabels): Service => ({ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'shop' }, spec: { selector } });

type Endpoints = NonNullable<EndpointSlice['endpoints']>;
const slice = (...endpoints: Endpoints): EndpointSlice => ({ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: { name: 'x' }, addressType: 'IPv4', endpoints });
const at = (address: string, conditions?: Endpoints[number]['conditions']): Endpoints[number] => ({ addresses: [address], ...(conditions === undefined ? {} : { conditions }) });

class World {
  nowMs = 0;
  leaving: readonly Pod[] = [pod('a', '10.0.0.1')];
  services: readonly Service[] = [service('hello'), service('other')];
  slices: Readonly<Record<string, readonly EndpointSlice[]>> = {};
  readonly drained: string[] = [];
  readonly #proxies = new LeavingProxies({
    leaving: () => this.leaving,
    servicesIn: (namespace) => (namespace === 'shop' ? this.services : []),
    slicesOf: (_namespace, name) => this.slices[name] ?? [],
    drain: (namespace, nodeId) => void this.drained.push(`${namespace}/${nodeId}`),
    nowMs: () => this.nowMs,
  });

  /** Who is drained after so long. */
  after(ms: number): readonly string[] {
    this.nowMs += ms;
    this.drained.length = 0;
    this.#proxies.drainDue();
    return [...this.drained];
  }
}

test('a proxy that no Service sends to is drained when the nodes have had time to follow', () => {
  const world = new World();
  expect(world.after(0)).toEqual([]);
  expect(world.after(MARGIN_MS - 1)).toEqual([]);
  expect(world.after(1)).toEqual(['shop/a']);
  expect(world.after(1_000)).toEqual(['shop/a']);
});

test.each<[string, Endpoints[number], boolean]>([
  ['ready', at('10.0.0.1', { ready: true }), true],
  ['of unknown readiness', at('10.0.0.1'), true],
  ['ending', at('10.0.0.1', { ready: false, serving: true, terminating: true }), false],
  ['of another proxy', at('10.0.0.2', { ready: true }), false],
])('one Service with an endpoint that is %s', (_what, endpoint, isReachable) => {
  const world = new World();
  world.slices = { other: [slice(), slice(endpoint)] };
  world.after(0);
  expect(world.after(10 * MARGIN_MS)).toEqual(isReachable ? [] : ['shop/a']);
});

test('the margin begins when the last Service has left, and again when one comes back', () => {
  const world = new World();
  const reachable = { hello: [slice(at('10.0.0.1', { ready: true }))] };
  world.slices = reachable;
  world.after(MARGIN_MS);
  world.slices = {};
  expect(world.after(0)).toEqual([]);
  world.slices = reachable;
  expect(world.after(MARGIN_MS - 1)).toEqual([]);
  world.slices = {};
  expect(world.after(0)).toEqual([]);
  expect(world.after(MARGIN_MS - 1)).toEqual([]);
  expect(world.after(1)).toEqual(['shop/a']);
});

test('Services that do not send to the fleet do not count', () => {
  const world = new World();
  world.services = [service('hello', { app: 'mine' })];
  world.slices = { hello: [slice(at('10.0.0.1', { ready: true }))] };
  world.after(0);
  expect(world.after(MARGIN_MS)).toEqual(['shop/a']);
});

test('each proxy has its own margin, and one that is gone is forgotten', () => {
  const world = new World();
  world.after(0);
  world.leaving = [pod('a', '10.0.0.1'), pod('b', '10.0.0.2')];
  world.after(1_000);
  expect(world.after(MARGIN_MS - 1_000)).toEqual(['shop/a']);
  world.leaving = [pod('b', '10.0.0.2')];
  expect(world.after(1_000)).toEqual(['shop/b']);
  world.leaving = [pod('a', '10.0.0.1')];
  expect(world.after(MARGIN_MS)).toEqual([]);
});

test('a proxy that never got an address is reached by nobody', () => {
  const world = new World();
  world.leaving = [pod('a')];
  world.slices = { hello: [slice(at('10.0.0.2'))] };
  world.after(0);
  expect(world.after(MARGIN_MS)).toEqual(['shop/a']);
});
