import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { Resource, ResourceType } from '../traffic/resource.ts';
import { AdsStream } from './ads-stream.ts';
import { encodeResource } from './encode.ts';
import { clusterResource, endpointsResource, FakeProxy, listenerResource, routeResource } from './fake-proxy.ts';
import { FleetResources } from './fleet-resources.ts';
import { typeUrlOf } from './resource-type.ts';

const removalDelayMs = 1000;

/** A fleet with one proxy under a clock that stands still unless moved. */
class Bench {
  readonly fleet = new FleetResources();
  readonly proxy: FakeProxy;
  nowMs = 1_000_000;
  readonly #clusters = new Map<string, readonly string[]>();

  constructor(refuses: (type: ResourceType, name: string, version: string) => boolean = () => false) {
    this.proxy = new FakeProxy({
      fleet: this.fleet,
      nowMs: () => this.nowMs,
      removalDelayMs,
      clustersOf: (type, name, version) => this.#clusters.get(`${type} ${name} ${version}`) ?? [],
      refuses,
    });
  }

  set(owner: string, resources: readonly Resource[]): void {
    const encoded = resources.map((resource) => encodeResource(resource));
    for (const { type, name, version, clusters } of encoded) this.#clusters.set(`${type} ${name} ${version}`, clusters);
    this.proxy.stream.changed(this.fleet.set(owner, encoded, this.nowMs));
  }

  start(): void {
    this.proxy.connect();
    this.proxy.stream.start();
    this.proxy.settle();
  }

  advance(ms: number): void {
    this.nowMs += ms;
    this.proxy.stream.pump();
    this.proxy.settle();
  }

  /** What was received since, as "Type name" and "-Type name" for removals. */
  log(): string[] {
    return this.proxy.received.splice(0).flatMap(({ type, resources, removed }) => [...[...resources.keys()].map((name) => `${type} ${name}`), ...removed.map((name) => `-${type} ${name}`)]);
  }
}

const service = (name: string, weights: Readonly<Record<string, number>>): Resource[] => [
  ...Object.keys(weights).flatMap((version) => [clusterResource(`${name}/${version}`), endpointsResource(`${name}/${version}`)]),
  listenerResource(name),
  routeResource(name, Object.fromEntries(Object.entries(weights).map(([version, weight]) => [`${name}/${version}`, weight]))),
];

describe('order', () => {
  test('a new service: clusters, endpoints, listener, route', () => {
    const bench = new Bench();
    bench.set('shop', service('shop', { v1: 90, v2: 10 }));
    bench.start();
    const log = bench.log();
    // The listener names no cluster itself; it opens when its route has come.
    expect(log.filter((line) => line !== 'Listener shop')).toEqual(['Cluster shop/v1', 'Cluster shop/v2', 'ClusterLoadAssignment shop/v1', 'ClusterLoadAssignment shop/v2', 'RouteConfiguration shop']);
    expect(log.indexOf('Listener shop')).toBeLessThan(log.indexOf('RouteConfiguration shop'));
    expect(bench.proxy.faults).toEqual([]);
  });

  test('a route waits for the ACK of the endpoints of a new version', () => {
    const bench = new Bench();
    bench.set('shop', service('shop', { v1: 1 }));
    bench.start();
    bench.log();
    bench.set('shop', service('shop', { v1: 1, v2: 1 }));
    expect(bench.log()).toEqual(['Cluster shop/v2']);
    bench.proxy.step();
    expect(bench.log()).toEqual(['ClusterLoadAssignment shop/v2']);
    bench.proxy.step();
    expect(bench.log()).toEqual(['RouteConfiguration shop']);
  });

  test('a weight edit is one route, sent at once', () => {
    const bench = new Bench();
    bench.set('shop', service('shop', { v1: 90, v2: 10 }));
    bench.start();
    bench.log();
    bench.set('shop', service('shop', { v1: 50, v2: 50 }));
    expect(bench.log()).toEqual(['RouteConfiguration shop']);
  });

  test('endpoints that change after the route was set do not hold it up', () => {
    const bench = new Bench();
    bench.set('shop', service('shop', { v1: 1 }));
    bench.start();
    bench.log();
    bench.set('shop', [clusterResource('shop/v1'), endpointsResource('shop/v1', [1]), listenerResource('shop'), routeResource('shop', { 'shop/v1': 2 })]);
    expect(bench.log()).toEqual(['ClusterLoadAssignment shop/v1']);
    bench.set('shop', [clusterResource('shop/v1'), endpointsResource('shop/v1', [2]), listenerResource('shop'), routeResource('shop', { 'shop/v1': 2 })]);
    bench.proxy.step(); // the first of the two assignments, which was in force when the route was set
    expect(bench.log()).toEqual(['ClusterLoadAssignment shop/v1', 'RouteConfiguration shop']);
  });

  test('the first LDS response has every listener, and is sent when there is none', () => {
    const bench = new Bench();
    bench.proxy.connect();
    bench.proxy.stream.start();
    expect(bench.proxy.received.map(({ type, resources }) => `${type} ${resources.size}`)).toEqual(['Cluster 0', 'Listener 0']);
    const busy = new Bench();
    busy.set('db', [clusterResource('db'), endpointsResource('db'), listenerResource('db', ['db']), listenerResource('other')]);
    busy.start();
    expect(busy.log().slice(0, 4)).toEqual(['Cluster db', 'ClusterLoadAssignment db', 'Listener db', 'Listener other']);
  });

  test('the endpoints of a changed cluster are sent again, without waiting for the ACK of the cluster', () => {
    const bench = new Bench();
    bench.set('shop', service('shop', { v1: 1 }));
    bench.start();
    bench.log();
    bench.set('shop', [clusterResource('shop/v1', 7), ...service('shop', { v1: 1 }).slice(1)]);
    expect(bench.log()).toEqual(['Cluster shop/v1', 'ClusterLoadAssignment shop/v1']);
  });

  test('unknown names get an empty assignment, a route that answers 503, and removal', () => {
    const bench = new Bench();
    bench.start();
    bench.log();
    for (const type of ['ClusterLoadAssignment', 'RouteConfiguration', 'Listener'] as const) bench.proxy.send({ typeUrl: typeUrlOf(type), subscribe: ['gone'] });
    expect(bench.log()).toEqual(['ClusterLoadAssignment gone', 'RouteConfiguration gone', '-Listener gone']);
  });

  test('nothing is sent before start', () => {
    const bench = new Bench();
    bench.set('shop', service('shop', { v1: 1 }));
    bench.proxy.connect();
    expect(bench.log()).toEqual([]);
    bench.proxy.stream.start();
    expect(bench.log()).toEqual(['Cluster shop/v1', 'Listener shop']);
  });
});

describe('removal', () => {
  test('a version leaves: route first, its cluster after the delay that begins with the ACK of the route', () => {
    const bench = new Bench();
    bench.set('shop', service('shop', { v1: 1, v2: 1 }));
    bench.start();
    bench.log();
    bench.set('shop', service('shop', { v1: 1 }));
    bench.nowMs += 5 * removalDelayMs; // the proxy is slow to answer
    expect(bench.proxy.stream.mayRouteTo('shop/v2')).toBe(true);
    bench.proxy.settle();
    expect(bench.proxy.stream.mayRouteTo('shop/v2')).toBe(false);
    expect(bench.log()).toEqual(['RouteConfiguration shop']);
    expect(bench.proxy.dueMs).toBe(bench.nowMs + removalDelayMs);
    bench.advance(removalDelayMs - 1);
    expect(bench.log()).toEqual([]);
    bench.advance(1);
    expect(bench.log()).toEqual(['-Cluster shop/v2']);
    expect(bench.proxy.held('ClusterLoadAssignment')).not.toContain('shop/v2');
    expect(bench.proxy.faults).toEqual([]);
  });

  test('a service leaves: listener after the delay, clusters after another', () => {
    const bench = new Bench();
    bench.set('shop', service('shop', { v1: 1 }));
    bench.start();
    bench.log();
    bench.set('shop', []);
    bench.advance(removalDelayMs);
    expect(bench.log()).toEqual(['-Listener shop']);
    bench.advance(removalDelayMs);
    expect(bench.log()).toEqual(['-Cluster shop/v1']);
    expect(bench.proxy.dueMs).toBeUndefined();
  });

  test('what comes back within the delay stays', () => {
    const bench = new Bench();
    bench.set('shop', service('shop', { v1: 1 }));
    bench.start();
    bench.set('shop', []);
    bench.advance(removalDelayMs - 1);
    bench.log();
    bench.set('shop', service('shop', { v1: 1 }));
    bench.advance(10 * removalDelayMs);
    expect(bench.log()).toEqual([]);
  });

  test('drain takes all listeners at once and keeps new ones away', () => {
    const bench = new Bench();
    bench.set('shop', service('shop', { v1: 1 }));
    bench.start();
    bench.log();
    bench.proxy.stream.drain();
    bench.proxy.settle();
    bench.set('cart', service('cart', { v1: 1 }));
    bench.proxy.settle();
    expect(bench.log().filter((line) => line.includes('Listener'))).toEqual(['-Listener shop']);
  });
});

describe('acknowledgement', () => {
  test('one response per type is in flight; the latest version wins', () => {
    const bench = new Bench();
    bench.set('shop', service('shop', { v1: 1, v2: 1 }));
    bench.start();
    bench.log();
    for (const weight of [2, 3, 4]) bench.set('shop', service('shop', { v1: weight, v2: 1 }));
    expect(bench.log()).toEqual(['RouteConfiguration shop']);
    bench.proxy.settle();
    expect(bench.log()).toEqual(['RouteConfiguration shop']);
    expect(bench.proxy.held('RouteConfiguration').get('shop')).toBe(bench.fleet.get('RouteConfiguration', 'shop')?.version);
  });

  test('a stale nonce acknowledges nothing, but its subscriptions count', () => {
    const bench = new Bench();
    bench.set('shop', service('shop', { v1: 1 }));
    bench.start();
    bench.set('shop', service('shop', { v1: 2 }));
    bench.log();
    bench.proxy.send({ typeUrl: typeUrlOf('RouteConfiguration'), nonce: 'old', subscribe: ['later'] });
    expect(bench.proxy.stream.subscription('RouteConfiguration').inFlight).toBe(true);
    bench.proxy.settle();
    expect(bench.log()).toContain('RouteConfiguration later');
  });

  test('a name that is asked for again is sent again', () => {
    const bench = new Bench();
    bench.set('shop', service('shop', { v1: 1 }));
    bench.start();
    bench.log();
    bench.proxy.send({ typeUrl: typeUrlOf('RouteConfiguration'), subscribe: ['shop'] });
    expect(bench.log()).toEqual(['RouteConfiguration shop']);
  });

  test('a NACK: the bad one is found and not sent again, the others go through', () => {
    const bench = new Bench((_type, name) => name === 'bad/v1');
    const names = ['a', 'b', 'bad', 'c', 'd', 'e', 'f'];
    for (const name of names) bench.set(name, service(name, { v1: 1 }));
    bench.start();
    expect([...bench.proxy.stream.subscription('Cluster').rejected.keys()]).toEqual(['bad/v1']);
    for (const name of names.filter((other) => other !== 'bad')) {
      const subscription = bench.proxy.stream.subscription('RouteConfiguration');
      expect(subscription.held.get(name)?.version).toBe(bench.fleet.get('RouteConfiguration', name)?.version);
    }
    bench.log();
    bench.set('a', service('a', { v1: 2 }));
    bench.proxy.settle();
    expect(bench.log()).toEqual(['RouteConfiguration a']);
    // Its listener must not wait for ever for a route: the proxy gets one that answers 503.
    expect(bench.proxy.held('RouteConfiguration').get('bad')).toBe('placeholder');
  });

  test('after a NACK the last good version serves on, and a corrected one is sent', () => {
    const bad = encodeResource(routeResource('shop', { 'shop/v1': 13 })).version;
    const bench = new Bench((_type, _name, version) => version === bad);
    bench.set('shop', service('shop', { v1: 1 }));
    bench.start();
    bench.set('shop', service('shop', { v1: 13 }));
    bench.proxy.settle();
    expect(bench.proxy.stream.subscription('RouteConfiguration').rejected.get('shop')).toMatchObject({ version: bad, message: 'bad: shop' });
    bench.log();
    bench.set('shop', service('shop', { v1: 14 }));
    bench.proxy.settle();
    expect(bench.log()).toEqual(['RouteConfiguration shop']);
    expect(bench.proxy.stream.subscription('RouteConfiguration').rejected.size).toBe(0);
  });

  test('a rejected cluster update does not hold up weights: the proxy has the one before', () => {
    const bad = encodeResource(clusterResource('shop/v1', 13)).version;
    const bench = new Bench((_type, _name, version) => version === bad);
    bench.set('shop', service('shop', { v1: 1, v2: 1 }));
    bench.start();
    bench.log();
    bench.set('shop', [clusterResource('shop/v1', 13), ...service('shop', { v1: 5, v2: 1 }).slice(1)]);
    bench.proxy.settle();
    expect(bench.log().at(-1)).toBe('RouteConfiguration shop');
  });

  test('when the connection is full nothing is written until it has drained', () => {
    const fleet = new FleetResources();
    fleet.set('shop', service('shop', { v1: 1 }).map((resource) => encodeResource(resource)), 0);
    let written = 0;
    const stream = new AdsStream({ fleet, nowMs: () => 0, removalDelayMs, wakeAt: () => {}, write: () => (written += 1) > 100 });
    stream.start();
    for (const type of ['Cluster', 'Listener'] as const) {
      stream.receive({ nodeId: 'a', typeUrl: typeUrlOf(type), subscribe: [], unsubscribe: [], initialVersions: new Map(), nonce: '', rejection: undefined });
    }
    expect(written).toBe(1);
    stream.resume();
    expect(written).toBe(2);
  });
});

describe('reconnect', () => {
  test('equal versions transfer nothing and count as acknowledged', () => {
    const bench = new Bench();
    bench.set('shop', service('shop', { v1: 1, v2: 1 }));
    bench.start();
    bench.log();
    bench.nowMs += 77;
    bench.start();
    expect(bench.log()).toEqual([]);
    expect(bench.proxy.stream.subscription('RouteConfiguration').held.get('shop')).toMatchObject({ version: bench.fleet.get('RouteConfiguration', 'shop')?.version, atMs: bench.nowMs });
    bench.advance(10 * removalDelayMs);
    expect(bench.log()).toEqual([]);
  });

  test('only what differs is sent; what nobody wants goes after the delay', () => {
    const bench = new Bench();
    bench.set('shop', service('shop', { v1: 1, v2: 1 }));
    bench.set('old', service('old', { v1: 1 }));
    bench.start();
    bench.log();
    const restarted = new Bench();
    for (const [type, held] of bench.proxy.config) for (const [name, version] of held) restarted.proxy.held(type).set(name, version);
    restarted.set('shop', service('shop', { v1: 2 }));
    restarted.start();
    expect(restarted.log()).toEqual(['RouteConfiguration shop']);
    // The route of `old` is of an unknown version: it may lead anywhere.
    expect(restarted.proxy.stream.mayRouteTo('shop/v2')).toBe(true);
    restarted.advance(removalDelayMs);
    expect(restarted.log()).toEqual(['-Listener old']);
    expect(restarted.proxy.stream.mayRouteTo('shop/v2')).toBe(false);
    restarted.advance(removalDelayMs);
    expect(restarted.log().toSorted()).toEqual(['-Cluster old/v1', '-Cluster shop/v2']);
  });
});

describe('any sequence of edits, ACKs, NACKs and reconnects', () => {
  const edit = fc.record({
    kind: fc.constant('edit' as const),
    owner: fc.constantFrom('a', 'b', 'c'),
    weights: fc.dictionary(fc.constantFrom('v1', 'v2', 'v3'), fc.integer({ min: 1, max: 20 }), { minKeys: 0, maxKeys: 3 }),
    endpoint: fc.integer({ min: 1, max: 3 }),
    timeout: fc.integer({ min: 1, max: 2 }),
  });
  const action = fc.oneof(
    edit,
    fc.record({ kind: fc.constant('step' as const), index: fc.nat(3) }),
    fc.record({ kind: fc.constant('advance' as const), ms: fc.constantFrom(1, 300, 1000) }),
    fc.record({ kind: fc.constant('reconnect' as const) }),
  );
  /** Weight 13 is refused. */
  const refused = new Set(['a', 'b', 'c'].flatMap((owner) => ['v1', 'v2', 'v3'].map((version) => encodeResource(routeResource(owner, { [`${owner}/${version}`]: 13 })).version)));

  const resourcesOf = ({ owner, weights, endpoint, timeout }: { owner: string; weights: Readonly<Record<string, number>>; endpoint: number; timeout: number }): Resource[] => {
    const versions = Object.keys(weights);
    if (versions.length === 0) return [];
    return [
      ...versions.flatMap((version) => [clusterResource(`${owner}/${version}`, timeout), endpointsResource(`${owner}/${version}`, [endpoint])]),
      listenerResource(owner),
      routeResource(owner, Object.fromEntries(versions.map((version) => [`${owner}/${version}`, weights[version] ?? 1]))),
    ];
  };

  test('no route leads nowhere, and in the end the proxy holds what is wanted', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const bench = new Bench((_type, _name, version) => refused.has(version));
        bench.start();
        for (const step of actions) {
          if (step.kind === 'edit') bench.set(step.owner, resourcesOf(step));
          else if (step.kind === 'step') bench.proxy.step(step.index);
          else if (step.kind === 'advance') {
            bench.nowMs += step.ms;
            bench.proxy.stream.pump();
          } else {
            bench.proxy.connect();
            bench.proxy.stream.start();
          }
        }
        for (let round = 0; round < 6; round += 1) bench.advance(removalDelayMs);
        expect(bench.proxy.faults).toEqual([]);
        for (const [type, held] of bench.proxy.config) {
          const wanted = [...bench.fleet.names(type)].toSorted();
          const accepted = wanted.filter((name) => !refused.has(bench.fleet.get(type, name)?.version ?? ''));
          expect([...held.keys()].filter((name) => !wanted.includes(name))).toEqual([]);
          expect(accepted.map((name) => held.get(name))).toEqual(accepted.map((name) => bench.fleet.get(type, name)?.version));
        }
      }),
      { numRuns: 300 },
    );
  });
});
