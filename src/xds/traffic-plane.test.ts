import { expect, test } from '@jest/globals';
import type { Microservice, MicroserviceSpec, MicroserviceStatus } from '../api/microservice.ts';
import { fleetLabels, LABEL, microserviceLabels, versionChildName, versionLabels } from '../desired/names.ts';
import type { Pod, Service, TrafficObserved } from '../desired/observed.ts';
import type { EndpointSlice } from '../traffic/endpoint.ts';
import type { Resource } from '../traffic/resource.ts';
import { microservice, settings } from '../../test/observed-world.ts';
import type { Receipt } from './receipt.ts';
import { TrafficPlane } from './traffic-plane.ts';

const START_MS = Date.parse('2026-03-01T10:00:00Z');
const DRAIN_DELAY_MS = 10_000;

/** Keeps the promises of AdsServer.set and receipt; which proxy has acknowledged what is said by the test. */
class FakeServer {
  readonly resources = new Map<string, readonly Resource[]>();
  failure: Error | undefined;
  rejecting: string | undefined;
  readonly #nowMs: () => number;
  readonly #wanted = new Map<string, { readonly hash: string; readonly setAtMs: number }>();
  readonly #acknowledged = new Map<string, Map<string, { readonly hash: string; readonly atMs: number }>>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  set(namespace: string, owner: string, resources: readonly Resource[] | undefined): void {
    if (this.failure) throw this.failure;
    const key = `${namespace}/${owner}`;
    if (resources === undefined) {
      this.resources.delete(key);
      this.#wanted.delete(key);
      return;
    }
    const proving = resources.filter(({ type }) => type === 'Listener' || type === 'RouteConfiguration');
    const hash = proving.length === 0 ? '' : JSON.stringify(proving);
    this.resources.set(key, resources);
    if (this.#wanted.get(key)?.hash !== hash) this.#wanted.set(key, { hash, setAtMs: this.#nowMs() });
  }

  receipt(namespace: string, owner: string): Receipt {
    const key = `${namespace}/${owner}`;
    const { hash, setAtMs } = this.#wanted.get(key) ?? { hash: '', setAtMs: 0 };
    const proxies = [...this.#acknowledged].map(([nodeId, taken]) => {
      const last = taken.get(key);
      const rejections = nodeId === this.rejecting ? [{ type: 'Listener' as const, name: 'hello/http', message: 'bad', atMs: 0 }] : [];
      return { nodeId, connectedAtMs: START_MS, draining: false, acknowledgedAtMs: last?.hash === hash ? last.atMs : undefined, missing: [], rejections };
    });
    return { hash, setAtMs, proxies };
  }

  /** The proxy holds what is wanted now. */
  acknowledge(nodeId: string): void {
    this.#acknowledged.set(nodeId, new Map([...this.#wanted].map(([key, { hash }]) => [key, { hash, atMs: this.#nowMs() }])));
  }
}

/** The caches of one namespace; each change is told to the plane as the watch would. */
class World {
  nowMs = START_MS;
  readonly woken: string[] = [];
  readonly errors: string[] = [];
  readonly microservices = new Map<string, Microservice>();
  readonly services = new Map<string, Service>();
  readonly slices = new Map<string, readonly EndpointSlice[]>();
  readonly pods = new Map<string, Pod>();
  server = new FakeServer(() => this.nowMs);
  plane = this.#newPlane();

  /** Another leader: the same caches, and nothing known. */
  restart(): void {
    this.server = new FakeServer(() => this.nowMs);
    this.plane = this.#newPlane();
    this.plane.start();
  }

  #newPlane(): TrafficPlane {
    const { server } = this;
    return new TrafficPlane({
      caches: {
        microservices: () => [...this.microservices.values()],
        microservice: (_namespace, name) => this.microservices.get(name),
        services: () => [...this.services.values()],
        servicesOf: (_namespace, name) => [...this.services.values()].filter(({ metadata }) => metadata.labels?.[LABEL.microservice] === name),
        slicesOf: (_namespace, service) => this.slices.get(service) ?? [],
        fleetPods: (namespace) => (namespace === 'shop' ? [...this.pods.values()] : []),
      },
      server,
      settings,
      onChange: (_namespace, name) => void this.woken.push(name),
      onAcknowledged: () => {},
      onError: (error) => void this.errors.push(String(error)),
      nowMs: () => this.nowMs,
      drainDelayMs: DRAIN_DELAY_MS,
    });
  }

  spec(spec: MicroserviceSpec, { name = 'hello', status }: { readonly name?: string; readonly status?: MicroserviceStatus } = {}): void {
    this.microservices.set(name, { ...microservice(spec, { name }), ...(status === undefined ? {} : { status }) });
    this.plane.update('shop', name);
  }

  delete(name = 'hello'): void {
    this.microservices.delete(name);
    this.plane.update('shop', name);
  }

  /** The version has its Service and, on these ports, one ready endpoint. */
  ready(version: string, ports: readonly string[] = ['http']): void {
    this.#version(version, ports, true);
  }

  unready(version: string, ports: readonly string[] = ['http']): void {
    this.#version(version, ports, false);
  }

  #version(version: string, ports: readonly string[], isReady: boolean): void {
    const name = versionChildName('hello', version);
    this.services.set(name, { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'shop', labels: versionLabels('hello', version) }, spec: {} });
    this.slices.set(name, [
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: `${name}-abcde` },
        addressType: 'IPv4',
        endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: isReady } }],
        ports: ports.map((port) => ({ name: port, port: 8080 })),
      },
    ]);
    this.plane.update('shop', 'hello');
  }

  /** The user's Service sends its connections to these ports of the proxies; undefined: to the pods themselves. */
  point(targets: Readonly<Record<string, number>> | undefined): void {
    const ports = Object.entries(targets ?? { http: 8080 }).map(([name, targetPort]) => ({ name, port: 80, targetPort }));
    const selector = targets ? fleetLabels : { [LABEL.microservice]: 'hello' };
    this.services.set('hello', { apiVersion: 'v1', kind: 'Service', metadata: { name: 'hello', namespace: 'shop', labels: microserviceLabels('hello') }, spec: { selector, ports } });
    this.plane.update('shop', 'hello');
  }

  unpoint(): void {
    this.services.delete('hello');
    this.plane.update('shop', 'hello');
  }

  proxy(name: string, isReady = true): void {
    this.pods.set(name, { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'shop', uid: `uid-${name}` }, status: { conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }] } });
    this.plane.updateProxies('shop');
  }

  acknowledge(...proxies: readonly string[]): void {
    for (const proxy of proxies) this.server.acknowledge(`uid-${proxy}`);
    for (const name of this.microservices.keys()) this.plane.receiptChanged('shop', name);
  }

  observe(name = 'hello'): TrafficObserved {
    return this.plane.observe(this.microservices.get(name) ?? microservice({}, { name }));
  }

  get weights(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.observe().applied);
  }

  /** What the proxies should hold, as "<type> <name>". */
  get held(): readonly string[] {
    return (this.server.resources.get('shop/hello') ?? []).map(({ type, name }) => `${type} ${name}`);
  }

  portOf(port = 'http'): number {
    const found = this.observe().listenerPorts.get(port);
    if (found === undefined) throw new Error(`no listener port for ${port}`);
    return found;
  }

  /** Whom this wakes. */
  wakes(change: () => void): readonly string[] {
    this.woken.length = 0;
    change();
    return [...new Set(this.woken)].toSorted();
  }
}

const split = (v1: number | undefined, v2?: number): MicroserviceSpec => ({
  ports: [{ name: 'http', port: 80 }],
  versions: [...(v1 === undefined ? [] : [{ name: 'v1', image: 'a', weight: v1 }]), ...(v2 === undefined ? [] : [{ name: 'v2', image: 'b', weight: v2 }])],
});
const withPort = (...names: readonly string[]): MicroserviceSpec => ({ image: 'a', ports: names.map((name, index) => ({ name, port: 80 + index })) });

function started(spec: MicroserviceSpec = split(90, 10)): World {
  const world = new World();
  world.plane.start();
  world.spec(spec);
  return world;
}

/** One proxy, which has acknowledged; both versions are ready. */
function inForce(spec?: MicroserviceSpec): World {
  const world = started(spec);
  world.ready('v1');
  world.ready('v2');
  world.proxy('fleet-0');
  world.acknowledge('fleet-0');
  return world;
}

test('nothing is computed before the start, and everything at the start', () => {
  const world = new World();
  world.spec(split(90, 10));
  expect(world.held).toEqual([]);
  expect(world.woken).toEqual([]);
  world.plane.start();
  expect(world.held).toContain('Listener hello/http');
  expect(world.woken).toEqual(['hello']);
});

test('a worker and provider Service have nothing on the proxies', () => {
  const world = started({ image: 'a' });
  world.spec({ ...split(1), traffic: { provider: 'Service' } }, { name: 'plain' });
  expect([...world.server.resources]).toEqual([]);
  expect(world.observe('plain')).toMatchObject({ isListening: false, isAcknowledged: false });
});

test('the first proxy that becomes Ready wakes every Microservice of the namespace, and so does the last that stops', () => {
  const world = started();
  world.spec(withPort('http'), { name: 'other' });
  expect(world.wakes(() => world.proxy('fleet-0'))).toEqual(['hello', 'other']);
  world.acknowledge('fleet-0');
  expect(world.wakes(() => world.proxy('fleet-0', false))).toEqual(['hello', 'other']);
  expect(world.observe()).toMatchObject({ readyProxies: 0, isListening: false });
  // Though they have acknowledged what is wanted, long ago.
  expect(world.wakes(() => world.proxy('fleet-0'))).toEqual(['hello', 'other']);
  expect(world.wakes(() => world.plane.updateProxies('elsewhere'))).toEqual([]);
});

test('a third proxy wakes only those whose configuration has not been acknowledged yet', () => {
  const world = inForce();
  world.spec(withPort('http'), { name: 'late' });
  world.acknowledge('fleet-0');
  expect(world.wakes(() => world.proxy('fleet-1'))).toEqual([]);
  world.spec(withPort('web'), { name: 'late' });
  expect(world.wakes(() => world.proxy('fleet-2'))).toEqual(['late']);
  expect(world.observe()).toMatchObject({ isAcknowledged: true, readyProxies: 3 });
  expect(world.observe('late')).toMatchObject({ isAcknowledged: false });
});

test('a proxy that leaves may be the last that had not answered', () => {
  const world = inForce();
  world.proxy('fleet-1');
  world.spec(split(50, 50));
  world.acknowledge('fleet-0');
  expect(world.observe().isAcknowledged).toBe(false);
  expect(world.wakes(() => world.proxy('fleet-1', false))).toEqual(['hello']);
  expect(world.observe().isAcknowledged).toBe(true);
});

test('a proxy that is being deleted is not waited for', () => {
  const world = started();
  world.proxy('fleet-0');
  world.proxy('fleet-1');
  const leaving = world.pods.get('fleet-1') as Pod;
  world.pods.set('fleet-1', { ...leaving, metadata: { ...leaving.metadata, deletionTimestamp: '2026-03-01T10:00:00Z' } });
  world.acknowledge('fleet-0');
  expect(world.observe()).toMatchObject({ isAcknowledged: true, readyProxies: 1 });
});

const OLD = ['Cluster hello/main/http', 'ClusterLoadAssignment hello/main/http', 'Listener hello/http', 'RouteConfiguration hello/http'];

/** Renamed from http to web, while the Service still points at http. */
function renamed(): { readonly world: World; readonly oldPort: number } {
  const world = started(withPort('http'));
  world.ready('main', ['http', 'web']);
  world.proxy('fleet-0');
  world.acknowledge('fleet-0');
  const oldPort = world.portOf();
  world.point({ http: oldPort });
  world.spec(withPort('web'));
  return { world, oldPort };
}

test('the listener of a renamed port stays, with its route and clusters, until the Service has moved', () => {
  const { world, oldPort } = renamed();
  expect(world.held).toEqual(expect.arrayContaining([...OLD, 'Listener hello/web']));
  expect([...world.observe().listenerPorts.keys()]).toEqual(['web']);
  expect(world.portOf('web')).not.toBe(oldPort);
  world.ready('main', ['web']);
  expect(world.held).toEqual(expect.arrayContaining(OLD));
  world.acknowledge('fleet-0');
  expect(world.observe().isListening).toBe(true);
  world.point({ web: world.portOf('web') });
  expect(world.held.filter((resource) => OLD.includes(resource))).toEqual([]);
  expect(world.held).toContain('Listener hello/web');
});

/** Whether the freed port is given away again after so long. */
function isOldPortAfter(ms: number): boolean {
  const { world, oldPort } = renamed();
  world.point({ web: world.portOf('web') });
  world.nowMs += ms;
  world.spec(withPort('http', 'web'));
  return world.portOf() === oldPort;
}

test('a freed listener port rests, because proxies still hold its listener', () => {
  expect(isOldPortAfter(0)).toBe(false);
  expect(isOldPortAfter(2 * DRAIN_DELAY_MS)).toBe(false);
  expect(isOldPortAfter(2 * DRAIN_DELAY_MS + 1)).toBe(true);
});

test('the listener of a deleted Microservice stays until its Service is gone', () => {
  const world = inForce();
  world.point({ http: world.portOf() });
  const before = world.held;
  world.delete();
  expect(world.held).toEqual(before);
  world.unpoint();
  expect(world.server.resources.has('shop/hello')).toBe(false);
});

test('with another provider the proxies serve, and follow the pods, until the Service has left them', () => {
  const world = inForce();
  world.point({ http: world.portOf() });
  world.spec({ ...split(90, 10), traffic: { provider: 'Service' } });
  world.unready('v2');
  expect(world.weights).toEqual({ v1: 90, v2: 0 });
  expect(world.held).toContain('Listener hello/http');
  world.point(undefined);
  expect(world.server.resources.has('shop/hello')).toBe(false);
});

test('with its ports taken out of the spec the old listeners stay while the Service is there', () => {
  const world = started(withPort('http'));
  world.ready('main');
  world.point({ http: world.portOf() });
  world.spec({ image: 'a' });
  expect(world.held).toEqual(OLD);
  world.unpoint();
  expect(world.held).toEqual([]);
});

test('a configuration that cannot be set changes nothing but the word of it, and that goes after a good one', () => {
  const world = inForce();
  const before = world.observe();
  const { held } = world;
  world.server.failure = new Error('Cluster hello/v1/http already belongs to other');
  expect(world.wakes(() => world.spec(split(50, 50)))).toEqual(['hello']);
  expect(world.errors).toEqual(['Error: Cluster hello/v1/http already belongs to other']);
  expect(world.observe()).toMatchObject({ failure: 'Cluster hello/v1/http already belongs to other', applied: before.applied, listenerPorts: before.listenerPorts, isListening: true });
  // The spec asks for more than the proxies were told, whatever they have acknowledged: the receipt in status stays.
  expect(world.observe()).toMatchObject({ isAcknowledged: false, silentProxies: [] });
  expect(world.observe()).not.toHaveProperty('delayMs');
  expect(world.held).toEqual(held);
  world.server.failure = undefined;
  world.spec(split(90, 10));
  expect(world.observe()).toEqual(before);
  world.server.failure = new Error('again');
  world.spec(split(50, 50));
  world.server.failure = undefined;
  world.spec(split(50, 50));
  expect(world.observe()).not.toHaveProperty('failure');
  expect(world.weights).toEqual({ v1: 50, v2: 50 });
  world.acknowledge('fleet-0');
  expect(world.observe().isAcknowledged).toBe(true);
});

test('what fails at the start is told as well', () => {
  const world = new World();
  world.spec(split(90, 10));
  world.server.failure = new Error('no');
  world.plane.start();
  expect(world.observe()).toMatchObject({ failure: 'no', applied: new Map(), isListening: false });
  expect(world.woken).toEqual(['hello']);
});

test('a Ready proxy that has not answered for 30 s is named, and somebody looks again just then', () => {
  const world = inForce();
  world.proxy('fleet-1');
  world.nowMs += 60_000;
  world.spec(split(50, 50));
  world.acknowledge('fleet-0');
  expect(world.observe()).toMatchObject({ silentProxies: [], lookAgainInMs: 30_100 });
  world.nowMs += 30_100;
  expect(world.observe().silentProxies).toEqual(['fleet-1']);
  expect(world.observe()).not.toHaveProperty('lookAgainInMs');
  world.acknowledge('fleet-1');
  expect(world.observe()).toMatchObject({ isAcknowledged: true, silentProxies: [] });
});

test('a proxy that comes long after the change is not silent for that', () => {
  const world = inForce();
  world.nowMs += 60_000;
  world.proxy('fleet-1');
  expect(world.observe()).toMatchObject({ isAcknowledged: true, silentProxies: [] });
});

test('a refusal names the proxy by its pod', () => {
  const world = inForce();
  world.server.rejecting = 'uid-fleet-0';
  expect(world.observe().rejected).toEqual({ proxy: 'fleet-0', message: 'Listener hello/http: bad' });
});

const receiptInStatus = (v1: number, v2: number, trafficApplied: 'True' | 'False' = 'True'): MicroserviceStatus => ({
  conditions: [{ type: 'TrafficApplied', status: trafficApplied, reason: 'x', message: '', lastTransitionTime: '2026-03-01T09:00:00Z' }],
  versions: [
    { name: 'v1', image: 'a', replicas: 1, readyReplicas: 1, weight: { desired: v1, applied: v1, acknowledged: v1 } },
    { name: 'v2', image: 'b', replicas: 1, readyReplicas: 1, weight: { desired: v2, applied: v2, acknowledged: v2 } },
  ],
});

test.each<[string, MicroserviceStatus | undefined, boolean]>([
  ['the same weights were acknowledged', receiptInStatus(90, 10), true],
  ['other weights were acknowledged', receiptInStatus(50, 50), false],
  ['the traffic was not applied', receiptInStatus(90, 10, 'False'), false],
  ['there is no receipt', undefined, false],
])('after a start, while the proxies reconnect, the receipt in status counts: %s', (_what, status, isAcknowledged) => {
  const world = new World();
  world.ready('v1');
  world.ready('v2');
  world.proxy('fleet-0');
  world.spec(split(90, 10), status === undefined ? {} : { status });
  world.plane.start();
  expect(world.observe()).toMatchObject({ isAcknowledged, lookAgainInMs: 30_100, silentProxies: [] });
  world.nowMs += 30_100;
  expect(world.observe()).toMatchObject({ isAcknowledged: false, silentProxies: ['fleet-0'] });
});

test('a removed version is drained only when no proxy sends to it, and the delay is over', () => {
  const world = inForce();
  world.spec(split(100));
  expect(world.weights).toEqual({ v1: 100 });
  world.nowMs += 10 * DRAIN_DELAY_MS;
  expect(world.observe().drained.has('v2')).toBe(false);
  world.acknowledge('fleet-0');
  world.nowMs += DRAIN_DELAY_MS - 1;
  expect(world.observe().drained.has('v2')).toBe(false);
  world.nowMs += 1;
  expect(world.observe().drained.has('v2')).toBe(true);
  expect(world.observe().drained.has('v1')).toBe(false);
  expect(world.held).toContain('Cluster hello/v2/http');
});

test('while a Service still points at an old listener, whose route is as it was, no version is drained', () => {
  const world = started({ ...split(90, 10) });
  world.ready('v1');
  world.ready('v2');
  world.proxy('fleet-0');
  world.acknowledge('fleet-0');
  world.point({ http: world.portOf() });
  world.spec({ ...split(100), ports: [{ name: 'web', port: 80 }] });
  world.acknowledge('fleet-0');
  world.nowMs += DRAIN_DELAY_MS;
  expect(world.observe().drained.has('v2')).toBe(false);
  world.point({ web: world.portOf('web') });
  world.acknowledge('fleet-0');
  world.nowMs += DRAIN_DELAY_MS;
  expect(world.observe().drained.has('v2')).toBe(true);
});

test('a new leader waits again: it does not know when the proxies let go', () => {
  const world = inForce();
  world.spec(split(100));
  world.acknowledge('fleet-0');
  world.nowMs += DRAIN_DELAY_MS;
  world.restart();
  expect(world.observe().drained.has('v2')).toBe(false);
  world.acknowledge('fleet-0');
  expect(world.observe().drained.has('v2')).toBe(false);
  world.nowMs += DRAIN_DELAY_MS;
  expect(world.observe().drained.has('v2')).toBe(true);
});

test('a version with weight 0 gets nothing, though no other is ready', () => {
  const world = inForce(split(100, 0));
  world.unready('v1');
  expect(world.weights).toEqual({ v1: 100, v2: 0 });
});

test('the version that serves goes on until the one that is to take over is ready', () => {
  const world = started();
  world.ready('v1');
  world.unready('v2');
  world.spec(split(0, 100));
  expect(world.weights).toEqual({ v1: 1, v2: 0 });
  world.ready('v2');
  expect(world.weights).toEqual({ v1: 0, v2: 100 });
});

test('a removed version serves until the new one is ready, and is not drained before', () => {
  const world = started(split(100));
  world.ready('v1');
  world.proxy('fleet-0');
  world.unready('v2');
  world.spec(split(undefined, 100));
  world.acknowledge('fleet-0');
  world.nowMs += DRAIN_DELAY_MS;
  expect(world.weights).toEqual({ v2: 0, v1: 1 });
  expect(world.observe().drained.has('v1')).toBe(false);
  world.ready('v2');
  world.acknowledge('fleet-0');
  world.nowMs += DRAIN_DELAY_MS;
  expect(world.weights).toEqual({ v2: 100 });
  expect(world.observe().drained.has('v1')).toBe(true);
});

test.each<[string, MicroserviceStatus | undefined, Readonly<Record<string, number>>]>([
  ['v1, as status says', receiptInStatus(1, 0), { v1: 1, v2: 0 }],
  ['nobody', undefined, { v1: 0, v2: 100 }],
])('after a restart whoever served goes on: %s', (_what, status, weights) => {
  const world = new World();
  world.ready('v1');
  world.unready('v2');
  world.spec(split(0, 100), status === undefined ? {} : { status });
  world.plane.start();
  expect(world.weights).toEqual(weights);
});

test('a new port is not offered before a pod answers there, where pods answer on others', () => {
  const world = started(withPort('http'));
  world.ready('main');
  world.proxy('fleet-0');
  world.acknowledge('fleet-0');
  expect(world.observe().isListening).toBe(true);
  world.spec(withPort('http', 'admin'));
  expect(world.observe().isListening).toBe(false);
  world.acknowledge('fleet-0');
  expect(world.observe()).toMatchObject({ isAcknowledged: true, isListening: false });
  expect(world.wakes(() => world.ready('main', ['http', 'admin']))).toEqual(['hello']);
  world.acknowledge('fleet-0');
  expect(world.observe().isListening).toBe(true);
  world.unready('main', ['http', 'admin']);
  world.acknowledge('fleet-0');
  expect(world.observe().isListening).toBe(true);
});

test('proxies that have yet to take the listener of a new port are waited for', () => {
  const world = started(withPort('http'));
  world.ready('main', ['http', 'admin']);
  world.proxy('fleet-0');
  world.acknowledge('fleet-0');
  world.spec(withPort('http', 'admin'));
  expect(world.observe().isListening).toBe(false);
  world.acknowledge('fleet-0');
  expect(world.observe().isListening).toBe(true);
});

test('the delay of a change is from when it was set to the last acknowledgement; what was set at the start has none', () => {
  const world = new World();
  world.ready('v1');
  world.ready('v2');
  world.proxy('fleet-0');
  world.proxy('fleet-1');
  world.spec(split(90, 10));
  world.plane.start();
  world.nowMs += 3_000;
  world.acknowledge('fleet-0', 'fleet-1');
  expect(world.observe().isAcknowledged).toBe(true);
  expect(world.observe()).not.toHaveProperty('delayMs');
  expect(world.observe()).not.toHaveProperty('acknowledgedTime');
  world.spec(split(50, 50));
  world.nowMs += 20;
  world.acknowledge('fleet-0');
  world.nowMs += 30;
  world.acknowledge('fleet-1');
  expect(world.observe()).toMatchObject({ delayMs: 50, acknowledgedTime: '2026-03-01T10:00:03.050Z' });
});

test('weights that change before the proxies have come back are a change of ours, with a delay', () => {
  const world = new World();
  world.ready('v1');
  world.ready('v2');
  world.proxy('fleet-0');
  world.spec(split(90, 10));
  world.plane.start();
  world.nowMs += 1_000;
  world.spec(split(50, 50));
  world.nowMs += 40;
  world.acknowledge('fleet-0');
  expect(world.observe().delayMs).toBe(40);
});

test('a Microservice that is made later has a delay from its first configuration on', () => {
  const world = started();
  world.proxy('fleet-0');
  world.nowMs += 15;
  world.acknowledge('fleet-0');
  expect(world.observe().delayMs).toBe(15);
});

test('pods that come and go leave the receipt alone', () => {
  const world = inForce();
  const before = world.observe();
  world.slices.set('hello--v1', (world.slices.get('hello--v1') ?? []).map((slice) => ({ ...slice, endpoints: [...(slice.endpoints ?? []), { addresses: ['10.0.0.9'] }] })));
  world.nowMs += 1_000;
  world.plane.update('shop', 'hello');
  expect(world.observe()).toEqual(before);
});
