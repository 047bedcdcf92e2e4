import { expect, test } from '@jest/globals';
import { eventually } from './eventually.ts';
import { ManualClock } from './manual-clock.ts';
import { settled, type Outcome } from './outcome.ts';
import { WorkQueue } from './queue.ts';
import { runWorkers, type Pass, type WorkersOptions } from './workers.ts';

interface Rig {
  readonly clock: ManualClock;
  readonly queue: WorkQueue;
  readonly passes: Pass[];
  readonly ended: Promise<void>;
}

const start = (reconcile: WorkersOptions['reconcile'], more: Partial<WorkersOptions> = {}): Rig => {
  const clock = new ManualClock();
  const queue = new WorkQueue({ clock });
  const passes: Pass[] = [];
  const observer = { started: () => {}, finished: (pass: Pass) => void passes.push(pass) };
  return { clock, queue, passes, ended: runWorkers({ queue, concurrency: 2, timeoutMs: 1_000, observer, clock, reconcile, ...more }) };
};

/** Waits for this many passes, moving the clock where `stepMs` is given. */
const until = (rig: Rig, passes: number, stepMs = 0): Promise<void> =>
  eventually(() => {
    rig.clock.advance(stepMs);
    return rig.passes.length >= passes;
  });

test('settled and stalled wait for the next event', async () => {
  const rig = start(async (key) => (key === 'a' ? settled : { kind: 'stalled', reason: 'a person has to act' }));
  rig.queue.add('a');
  rig.queue.add('b');
  await until(rig, 2);
  expect(rig.clock.pendingTimers).toBe(0);
  rig.queue.shutDown();
  await rig.ended;
});

test('waiting comes back after its delay and starts failures anew', async () => {
  const outcomes: Outcome[] = [{ kind: 'failed', error: 1 }, { kind: 'waiting', afterMs: 500 }, { kind: 'failed', error: 2 }, settled];
  const rig = start(async () => outcomes.shift() ?? settled);
  rig.queue.add('a');
  await until(rig, 1);
  await eventually(() => rig.clock.pendingTimers === 1);
  rig.clock.advance(5);
  await until(rig, 2);
  await eventually(() => rig.clock.pendingTimers === 1);
  rig.clock.advance(499);
  expect(rig.queue.depth).toBe(0);
  rig.clock.advance(1);
  await until(rig, 3);
  await eventually(() => rig.clock.pendingTimers === 1);
  // 5 ms again, not 10.
  rig.clock.advance(5);
  await until(rig, 4);
  rig.queue.shutDown();
  await rig.ended;
});

test('C2: a failure is retried, not before the named delay; whatever is thrown is a failure', async () => {
  const outcomes = [(): Outcome => ({ kind: 'failed', error: 'busy', retryAfterMs: 2_000 })];
  const rig = start(async () => {
    const next = outcomes.shift();
    // oxlint-disable-next-line typescript/only-throw-error -- libraries do throw such things
    if (!next) throw 'not even an Error';
    return next();
  });
  rig.queue.add('a');
  await until(rig, 1);
  await eventually(() => rig.clock.pendingTimers === 1);
  rig.clock.advance(1_999);
  expect(rig.queue.depth).toBe(0);
  rig.clock.advance(1);
  await until(rig, 2);
  expect(rig.passes[1]).toMatchObject({ outcome: { kind: 'failed', error: 'not even an Error' }, timedOut: false });
  rig.queue.shutDown();
  await rig.ended;
});

test('C3: a pass that is too late is told to stop, frees its worker, and keeps its key until it has ended', async () => {
  const running = new Map<string, { resolve: (outcome: Outcome) => void; signal: AbortSignal }>();
  let slowPasses = 0;
  const rig = start(
    (key, signal) => {
      if (key !== 'slow') return Promise.resolve(settled);
      slowPasses += 1;
      return new Promise((resolve) => running.set(key, { resolve, signal }));
    },
    { concurrency: 1 },
  );
  rig.queue.add('slow');
  await eventually(() => running.has('slow'));
  rig.clock.advance(1_000);
  await until(rig, 1);
  expect(rig.passes[0]).toMatchObject({ key: 'slow', timedOut: true, outcome: { kind: 'failed' }, durationMs: 1_000 });
  expect(running.get('slow')?.signal.aborted).toBe(true);
  rig.queue.add('slow');
  rig.queue.add('other');
  await until(rig, 2);
  expect([rig.passes[1]?.key, slowPasses]).toEqual(['other', 1]);
  running.get('slow')?.resolve(settled);
  await eventually(() => slowPasses === 2);
  running.get('slow')?.resolve(settled);
  await until(rig, 3);
  rig.queue.shutDown();
  await rig.ended;
});

test('the signal of all reaches every pass', async () => {
  const all = new AbortController();
  let begun = 0;
  const untilAborted = (_: string, signal: AbortSignal): Promise<Outcome> =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      begun += 1;
    });
  const rig = start(untilAborted, { signal: all.signal });
  rig.queue.add('a');
  rig.queue.add('b');
  await eventually(() => begun === 2);
  all.abort(new Error('leadership is lost'));
  await until(rig, 2);
  expect(rig.passes.map(({ timedOut, outcome }) => [timedOut, outcome.kind])).toEqual([[false, 'failed'], [false, 'failed']]);
  rig.queue.shutDown();
  await rig.ended;
});

test('concurrency is a limit', async () => {
  let now = 0;
  let most = 0;
  const rig = start(async () => {
    now += 1;
    most = Math.max(most, now);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    now -= 1;
    return settled;
  });
  for (let key = 0; key < 20; key += 1) rig.queue.add(`${key}`);
  await until(rig, 20);
  expect(most).toBe(2);
  rig.queue.shutDown();
  await rig.ended;
});
