import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { eventually } from '../engine/eventually.ts';
import { FakeApiServer, type Fault, type FakeObject, type SeenRequest, type StreamFault } from './fake-api-server.ts';
import { Informer, waitForSync, type InformerOptions } from './informer.ts';
import type { ReflectorObserver, ReflectorTimes } from './reflector.ts';
import type { Recovery } from './reflector-step.ts';
import { resourceKinds } from './resource-kind.ts';
import type { Change } from './store.ts';
import { Transport } from './transport.ts';

const kind = resourceKinds.deployment;
const times: ReflectorTimes = { watchMs: 60_000, inactivityMs: 30_000, initialEventsMs: 300, shortWatchMs: 20, slowMs: 5, backoffMs: 2, backoffCapMs: 10 };

let fake: FakeApiServer;
let transport: Transport;
let stop: AbortController;
let stopped: Promise<unknown>;

beforeEach(async () => {
  fake = await FakeApiServer.start();
  transport = new Transport({ credentials: fake.credentials, version: 'test' });
  stop = new AbortController();
});

afterEach(async () => {
  stop.abort();
  await stopped;
  await transport.close();
  await fake.stop();
});

interface Rig {
  readonly informer: Informer<FakeObject>;
  readonly changes: Change<FakeObject>[];
  readonly failures: { readonly error: unknown; readonly next: Recovery }[];
}

const start = (more: Partial<InformerOptions<FakeObject>> = {}): Rig => {
  const changes: Change<FakeObject>[] = [];
  const failures: Rig['failures'] = [];
  const observer: ReflectorObserver = { listed: () => {}, watched: () => {}, event: () => {}, failed: (error, next) => failures.push({ error, next }) };
  const informer = new Informer<FakeObject>({ transport, kind, times, observer, freeze: true, ...more });
  informer.onChange((change) => changes.push(change));
  stopped = informer.start(stop.signal);
  return { informer, changes, failures };
};

const deployment = (name: string, more: Record<string, unknown> = {}, labels: Record<string, string> = {}): FakeObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { namespace: 'ns', name, labels },
  ...more,
});

const told = ({ changes }: Rig): string[] => changes.map((change) => `${change.type} ${(change.new ?? change.old).metadata.name}`);
const isWatch = ({ watch, query }: SeenRequest): boolean => watch && query.get('sendInitialEvents') !== 'true';
const isRead = (request: SeenRequest): boolean => !isWatch(request);

/** The store equals the server's, and a fresh change arrives: the reflector lives. */
const expectAlive = async ({ informer }: Rig): Promise<void> => {
  fake.put(deployment('sign-of-life', { at: fake.version }));
  await eventually(() => {
    const stored = new Map(fake.stored(kind).map((object) => [object.metadata.name, object.metadata.resourceVersion]));
    expect(new Map(informer.list().map((object) => [object.metadata.name, object.metadata.resourceVersion]))).toEqual(stored);
  });
};

test('R1: everything comes as initial events, and the same stream goes on as a watch', async () => {
  fake.put(deployment('a'));
  fake.put(deployment('b'));
  const rig = start();
  await waitForSync([rig.informer]);
  expect(rig.changes).toMatchObject([{ type: 'added', initial: true }, { type: 'added', initial: true }]);
  expect(rig.informer.lastResourceVersion).toBe(fake.version);
  fake.put(deployment('a', { spec: 2 }));
  fake.delete(kind, { namespace: 'ns', name: 'b' });
  await eventually(() => rig.changes.length === 4);
  expect(told(rig)).toEqual(['added a', 'added b', 'updated a', 'deleted b']);
  expect(fake.requests).toHaveLength(1);
  expect(Object.fromEntries(fake.requests[0]?.query ?? [])).toMatchObject({ watch: 'true', sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan', allowWatchBookmarks: 'true', resourceVersion: '' });
});

test('R1: nothing is stored, synced or remembered before the bookmark', async () => {
  fake.put(deployment('a'));
  fake.switches.holdBookmarks = true;
  const rig = start({ times: { ...times, initialEventsMs: 30_000 } });
  await eventually(() => fake.openStreams === 1);
  fake.put(deployment('b'));
  await eventually(() => rig.informer.silentMs < 1_000);
  expect([rig.informer.size, rig.informer.synced, rig.informer.lastResourceVersion]).toEqual([0, false, '']);
  fake.switches.holdBookmarks = false;
  fake.strike('end');
  await waitForSync([rig.informer]);
  expect(rig.informer.size).toBe(2);
});

test.each(['refused', 'ignored'] as const)('R2: a server where the parameter is %s is listed and watched', async (watchList) => {
  fake.switches.watchList = watchList;
  fake.put(deployment('a'));
  const rig = start();
  await waitForSync([rig.informer]);
  const [, list, watch] = fake.requests;
  expect([list?.watch, list?.query.get('limit'), list?.query.get('resourceVersion')]).toEqual([false, '500', null]);
  await eventually(() => fake.count(kind, 'watch') === 1);
  expect(watch ?? fake.requests[2]).toMatchObject({ watch: true });
  // Items of a list have neither, events have both.
  expect(rig.informer.get('ns', 'a')).toMatchObject({ apiVersion: 'apps/v1', kind: 'Deployment' });
  fake.compact();
  fake.strike('status410');
  await expectAlive(rig);
  expect(fake.requests.filter(({ query }) => query.get('sendInitialEvents') === 'true')).toHaveLength(1);
});

test('R2: a stream that ends before the bookmark means a list, this time only', async () => {
  fake.put(deployment('a'));
  fake.switches.holdBookmarks = true;
  const rig = start({ times: { ...times, initialEventsMs: 30_000 } });
  await eventually(() => fake.openStreams === 1);
  fake.strike('end');
  await waitForSync([rig.informer]);
  expect(fake.requests[1]).toMatchObject({ watch: false });
  fake.switches.holdBookmarks = false;
  await eventually(() => fake.openStreams === 1);
  fake.compact();
  fake.strike('status410');
  await expectAlive(rig);
  expect(fake.requests.filter(({ query }) => query.get('sendInitialEvents') === 'true')).toHaveLength(2);
});

test('R3: pages to the end, and one whole list when the continue token expires', async () => {
  fake.switches.watchList = 'refused';
  for (let index = 0; index < 1_100; index += 1) fake.put(deployment(`d${index}`));
  fake.fail({ kind: 'status', code: 410, reason: 'Expired' }, ({ query }) => query.has('continue'));
  const rig = start();
  await waitForSync([rig.informer]);
  expect(rig.informer.size).toBe(1_100);
  const lists = fake.requests.filter(({ watch }) => !watch).map(({ query }) => [query.get('limit'), query.has('continue')]);
  expect(lists).toEqual([['500', false], ['500', true], [null, false]]);
});

test('R4, R6: a watch asks for bookmarks and a random end; a clean end continues from the last version', async () => {
  const rig = start({ random: () => 0.5 });
  await waitForSync([rig.informer]);
  expect(fake.requests[0]?.query.get('timeoutSeconds')).toBe('90');
  fake.put(deployment('a'));
  await eventually(() => rig.informer.size === 1);
  fake.jump(10);
  fake.bookmark();
  await eventually(() => rig.informer.lastResourceVersion === fake.version);
  fake.strike('end');
  await eventually(() => fake.count(kind, 'watch') === 1);
  const [again] = fake.requests.filter(isWatch);
  expect(Object.fromEntries(again?.query ?? [])).toEqual({ watch: 'true', allowWatchBookmarks: 'true', timeoutSeconds: '90', resourceVersion: fake.version });
  expect(fake.count(kind, 'list')).toBe(1);
  await expectAlive(rig);
});

test('R4: a server that does not end the watch is left by our own clock', async () => {
  const rig = start({ times: { ...times, watchMs: 100 }, random: () => 0 });
  await waitForSync([rig.informer]);
  await eventually(() => fake.count(kind, 'watch') >= 1, 8_000);
  expect([rig.failures, fake.count(kind, 'list')]).toEqual([[], 1]);
}, 10_000);

test('R6: a server that closes every watch at once is not asked in a tight loop', async () => {
  const rig = start({ times: { ...times, shortWatchMs: 1_000, backoffMs: 30, backoffCapMs: 30 }, random: () => 0 });
  await waitForSync([rig.informer]);
  const before = fake.requests.length;
  const startedMs = performance.now();
  await eventually(() => {
    fake.strike('end');
    return rig.failures.length >= 5;
  });
  expect(performance.now() - startedMs).toBeGreaterThan(4 * 30);
  expect(fake.requests.length - before).toBeLessThanOrEqual(8);
});

const requestFaults: readonly [string, Fault][] = [
  ['429', { kind: 'status', code: 429, reason: 'TooManyRequests' }],
  ['500', { kind: 'status', code: 500, reason: 'InternalError' }],
  ['403', { kind: 'status', code: 403, reason: 'Forbidden' }],
  ['reset', { kind: 'reset' }],
];

test.each(requestFaults)('R7, R8: a watch answered by %s goes on, however often', async (_, fault) => {
  const rig = start();
  await waitForSync([rig.informer]);
  fake.fail(fault, isWatch, 4);
  fake.put(deployment('a'));
  fake.strike('reset');
  await expectAlive(rig);
  expect(rig.failures.length).toBeGreaterThan(0);
});

test.each(requestFaults)('R7, R8: a first read answered by %s goes on, however often', async (_, fault) => {
  fake.fail(fault, isRead, 6);
  fake.put(deployment('a'));
  const rig = start();
  await waitForSync([rig.informer]);
  await expectAlive(rig);
  expect(rig.informer.problem).toBeUndefined();
});

test.each<StreamFault>(['reset', 'end', 'status500', 'halfLine'])('R7: a stream broken by %s continues from the last version without a list', async (fault) => {
  const rig = start();
  await waitForSync([rig.informer]);
  fake.put(deployment('a'));
  await eventually(() => rig.informer.size === 1);
  const version = fake.version;
  fake.strike(fault);
  await eventually(() => fake.count(kind, 'watch') >= 1);
  expect(fake.requests.findLast(isWatch)?.query.get('resourceVersion')).toBe(version);
  await expectAlive(rig);
  expect(fake.count(kind, 'list')).toBe(1);
});

test.each<StreamFault>(['garbage', 'unknownType', 'wrongKind'])('R11: %s in a stream is reported and everything is read afresh', async (fault) => {
  const rig = start();
  await waitForSync([rig.informer]);
  fake.strike(fault);
  await eventually(() => fake.count(kind, 'list') === 2);
  expect(rig.failures[0]).toMatchObject({ error: { name: 'ProtocolError' }, next: { step: { do: 'sync', from: '' } } });
  expect(rig.informer.get('odd', 'odd')).toBeUndefined();
  await expectAlive(rig);
});

test('R7: an expired version is read again from the last version, and from the latest if that is too new', async () => {
  const rig = start();
  await waitForSync([rig.informer]);
  const version = rig.informer.lastResourceVersion;
  fake.fail({ kind: 'status', code: 504, reason: 'Timeout', causes: [{ reason: 'ResourceVersionTooLarge' }] }, ({ query }) => query.get('resourceVersion') === version && query.has('sendInitialEvents'));
  fake.put(deployment('a'));
  fake.compact();
  fake.strike('reset');
  await expectAlive(rig);
  const reads = fake.requests.slice(1).filter(isRead).map(({ query }) => query.get('resourceVersion'));
  expect(reads).toContain('');
});

test('R7: a kind that is not served is a problem in words, and mends itself', async () => {
  fake.fail({ kind: 'status', code: 404, reason: 'NotFound' }, () => true, 1_000_000);
  const rig = start({ kind: resourceKinds.microservice });
  await eventually(() => rig.informer.problem !== undefined);
  expect(rig.informer.problem).toContain('the API server does not serve microservices.microservice-operator.io');
  expect(rig.informer.problem).toContain('install its CustomResourceDefinition');
  await expect(waitForSync([rig.informer], { limitMs: 20 })).rejects.toThrow('not synced after 20 ms: microservices.microservice-operator.io: the API server does not serve');
  fake.heal();
  await waitForSync([rig.informer]);
  expect(rig.informer.problem).toBeUndefined();
});

test('R7: lost permission is a problem with the fix', async () => {
  const rig = start();
  await waitForSync([rig.informer]);
  fake.fail({ kind: 'status', code: 403, reason: 'Forbidden' }, () => true, 1_000_000);
  fake.strike('end');
  await eventually(() => expect(rig.informer.problem).toContain('grant get, list and watch'));
  expect(rig.informer.problem).toContain('not allowed to read deployments.apps');
  fake.heal();
  await expectAlive(rig);
  expect(rig.informer.problem).toBeUndefined();
});

test('R9: what changed in a gap: deleted, and deleted and made anew', async () => {
  fake.put(deployment('gone'));
  fake.put(deployment('anew'));
  const rig = start();
  await waitForSync([rig.informer]);
  fake.fail({ kind: 'reset' }, () => true, 6);
  fake.strike('reset');
  fake.delete(kind, { namespace: 'ns', name: 'gone' });
  fake.delete(kind, { namespace: 'ns', name: 'anew' });
  fake.put(deployment('anew'));
  fake.compact();
  await eventually(() => rig.changes.length === 5);
  expect(told(rig).slice(2)).toEqual(['deleted gone', 'deleted anew', 'added anew']);
  expect(rig.changes.slice(2)).toMatchObject([{ finalStateUnknown: true }, { finalStateUnknown: true }, { initial: false }]);
});

test('N3: a silent peer is left, and the watch continues from the last version', async () => {
  const rig = start({ times: { ...times, inactivityMs: 300 } });
  await waitForSync([rig.informer]);
  fake.switches.deaf = true;
  fake.put(deployment('unheard'));
  fake.switches.deaf = false;
  await eventually(() => rig.informer.size === 1, 8_000);
  expect(rig.failures).toHaveLength(1);
  await expectAlive(rig);
  expect(fake.count(kind, 'list')).toBe(1);
}, 15_000);

test.each([
  ['while the first read hangs', 'blackHole'],
  ['while backing off', 'reset'],
  ['while streaming', undefined],
] as const)('R12: stopping %s is final', async (_, fault) => {
  if (fault) fake.fail({ kind: fault }, () => true, 1_000_000);
  const rig = start({ times: { ...times, backoffMs: 60_000, backoffCapMs: 60_000 } });
  await eventually(() => (fault === 'reset' ? rig.failures.length === 1 : fake.requests.length === 1));
  stop.abort();
  await stopped;
  const requests = fake.requests.length;
  fake.heal();
  fake.strike('end');
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  expect(fake.requests).toHaveLength(requests);
  await expect(rig.informer.start(new AbortController().signal)).rejects.toThrow('was started before');
});

test('R13: lines cut anywhere, in the middle of a character too', async () => {
  fake.switches.pieceBytes = 7;
  const rig = start();
  await waitForSync([rig.informer]);
  fake.put(deployment('a', { greeting: 'Grüße aus 東京 👋' }));
  await eventually(() => rig.informer.size === 1);
  expect(rig.informer.get('ns', 'a')).toMatchObject({ greeting: 'Grüße aus 東京 👋' });
});

test('S6: one namespace, one selector', async () => {
  const rig = start({ namespace: 'ns', labelSelector: 'managed-by=us' });
  await waitForSync([rig.informer]);
  fake.put({ ...deployment('elsewhere'), metadata: { namespace: 'other', name: 'elsewhere', labels: { 'managed-by': 'us' } } });
  fake.put(deployment('strange'));
  fake.put(deployment('ours', {}, { 'managed-by': 'us' }));
  await eventually(() => rig.informer.size === 1);
  expect(told(rig)).toEqual(['added ours']);
  expect(fake.requests[0]).toMatchObject({ path: '/apis/apps/v1/namespaces/ns/deployments' });
});

test('R15: the observer sees reads, watches, events and failures', async () => {
  const seen: string[] = [];
  const observer: ReflectorObserver = {
    listed: (objects) => seen.push(`listed ${objects}`),
    watched: () => seen.push('watched'),
    event: (type) => seen.push(type),
    failed: (error) => seen.push(error instanceof Error ? error.name : 'unknown'),
  };
  fake.put(deployment('a'));
  const { informer } = start({ observer });
  await waitForSync([informer]);
  fake.strike('reset');
  await eventually(() => seen.filter((what) => what === 'watched').length === 2);
  expect(seen).toEqual(['watched', 'ADDED', 'BOOKMARK', 'listed 1', 'ConnectionError', 'watched']);
  expect(informer.silentMs).toBeLessThan(5_000);
});
