import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { eventually } from '../engine/eventually.ts';
import { ManualClock } from '../engine/manual-clock.ts';
import { Client } from './client.ts';
import { EventRecorder, type Happening } from './event-recorder.ts';
import { FakeApiServer, type FakeObject } from './fake-api-server.ts';
import { resourceKinds } from './resource-kind.ts';
import { Transport } from './transport.ts';

let fake: FakeApiServer;
let transport: Transport;
let clock: ManualClock;
let dropped: string[];
let recorder: EventRecorder;

beforeEach(async () => {
  fake = await FakeApiServer.start();
  transport = new Transport({ credentials: fake.credentials, version: 'test' });
  clock = new ManualClock();
  dropped = [];
  recorder = new EventRecorder({ client: new Client({ transport }), controller: 'example.io/operator', instance: 'pod-1', clock, epochMs: () => 1_700_000_000_123 + clock.nowMs(), onDropped: (why) => dropped.push(why) });
});

afterEach(async () => {
  await transport.close();
  await fake.stop();
});

const happening = (more: Partial<Happening> = {}, name = 'shop'): Happening => ({
  regarding: { apiVersion: 'microservice-operator.io/v1alpha1', kind: 'Microservice', metadata: { namespace: 'ns', name, uid: `uid-${name}`, resourceVersion: '7' } },
  type: 'Warning',
  reason: 'ImagePullFailed',
  action: 'Apply',
  note: 'the image cannot be pulled',
  ...more,
});

const events = (): FakeObject[] => fake.stored(resourceKinds.event);

/** Everything recorded is written; the clock moves as far as the overall limit demands. */
const flushed = async (): Promise<void> => {
  let done = false;
  const drained = recorder.drain(1_000_000_000).finally(() => {
    done = true;
  });
  await eventually(() => {
    if (!done) clock.advance(50);
    return done;
  });
  await drained;
};

test('E1: an event of events.k8s.io/v1 about the object', async () => {
  recorder.record(happening());
  await flushed();
  expect(events()).toMatchObject([
    {
      apiVersion: 'events.k8s.io/v1',
      metadata: { namespace: 'ns', name: expect.stringMatching(/^shop\.[0-9a-f]+$/) },
      eventTime: '2023-11-14T22:13:20.123000Z',
      reportingController: 'example.io/operator',
      reportingInstance: 'pod-1',
      regarding: { kind: 'Microservice', namespace: 'ns', name: 'shop', uid: 'uid-shop', resourceVersion: '7' },
      type: 'Warning',
      reason: 'ImagePullFailed',
      action: 'Apply',
      note: 'the image cannot be pulled',
    },
  ]);
  expect(events()[0]).not.toHaveProperty('series');
});

test('E1: the same again is a series, and a new event after a long silence or when the old one has expired', async () => {
  for (let times = 0; times < 3; times += 1) {
    recorder.record(happening());
    await flushed();
  }
  expect(events()).toMatchObject([{ series: { count: 3 } }]);
  const [first] = events();
  fake.delete(resourceKinds.event, first?.metadata ?? { name: '' });
  recorder.record(happening());
  await flushed();
  expect(events()).toMatchObject([{ series: { count: 4 } }]);
  clock.advance(600_000);
  recorder.record(happening());
  await flushed();
  expect(events()).toHaveLength(2);
  expect(events()[1]).not.toHaveProperty('series');
});

test('E1: after ten different notes the rest count as one', async () => {
  for (let note = 0; note < 20; note += 1) recorder.record(happening({ note: `attempt ${note}` }));
  await flushed();
  expect(events()).toHaveLength(11);
  expect(events().map(({ note }) => note)).toContain('attempt 10');
  expect(events().at(-1)).toMatchObject({ series: { count: 10 } });
});

test('E1: one object may write 25 at once, and then one each 300 s; others are not touched by that', async () => {
  for (let reason = 0; reason < 30; reason += 1) recorder.record(happening({ reason: `Reason${reason}` }));
  recorder.record(happening({}, 'other'));
  await flushed();
  expect(events()).toHaveLength(26);
  expect(dropped).toHaveLength(5);
  clock.advance(300_000);
  recorder.record(happening({ reason: 'Later' }));
  recorder.record(happening({ reason: 'Later2' }));
  await flushed();
  expect(events()).toHaveLength(27);
});

test('E1: all objects together keep to a rate', async () => {
  for (let object = 0; object < 200; object += 1) recorder.record(happening({}, `o${object}`));
  await eventually(() => events().length === 100);
  const startedMs = clock.nowMs();
  await flushed();
  expect(events()).toHaveLength(200);
  expect(clock.nowMs() - startedMs).toBeGreaterThanOrEqual(4_900);
}, 10_000);

test('E1: the buffer is bounded', () => {
  for (let object = 0; object < 1_100; object += 1) recorder.record(happening({}, `o${object}`));
  // One has been taken out to be sent.
  expect(dropped.length).toBeGreaterThanOrEqual(99);
});

test('E1: losing an event fails nothing, and the next one is written', async () => {
  fake.fail({ kind: 'status', code: 403, reason: 'Forbidden', text: 'events are not allowed' });
  recorder.record(happening());
  await flushed();
  expect(dropped).toEqual([expect.stringContaining('events are not allowed')]);
  recorder.record(happening());
  await flushed();
  expect(events()).toMatchObject([{ series: { count: 2 } }]);
});

test('a long note is cut at a character', async () => {
  recorder.record(happening({ note: 'ü'.repeat(1_000) }));
  await flushed();
  expect(events()[0]?.['note']).toBe(`${'ü'.repeat(500)}…`);
});

test('an event about a cluster-wide object goes to the namespace default', async () => {
  recorder.record(happening({ regarding: { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } } }));
  await flushed();
  expect(events()).toMatchObject([{ metadata: { namespace: 'default' } }]);
});

test('drain does not wait longer than it may', async () => {
  fake.fail({ kind: 'blackHole' });
  recorder.record(happening());
  await eventually(() => fake.requests.length === 1);
  const drained = recorder.drain(1_000);
  clock.advance(1_000);
  await drained;
  expect(events()).toEqual([]);
});
