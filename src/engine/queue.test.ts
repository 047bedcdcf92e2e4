import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { ManualClock } from './manual-clock.ts';
import { priorities, WorkQueue, type WorkQueueOptions } from './queue.ts';

const make = (options: WorkQueueOptions = {}): { clock: ManualClock; queue: WorkQueue } => {
  const clock = new ManualClock();
  return { clock, queue: new WorkQueue({ clock, ...options }) };
};

/** What a waiting worker has got so far. */
const ask = (queue: WorkQueue): (string | undefined)[] => {
  const got: (string | undefined)[] = [];
  void queue.get().then((key) => got.push(key));
  return got;
};

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

const takeAll = async (queue: WorkQueue): Promise<string[]> => {
  const keys: string[] = [];
  while (queue.depth > 0) keys.push((await queue.get()) ?? '');
  return keys;
};

test('Q1: ten adds are one pass, and an add during a pass is one more', async () => {
  const { queue } = make();
  for (let add = 0; add < 10; add += 1) queue.add('a');
  expect(queue.depth).toBe(1);
  expect(await queue.get()).toBe('a');
  queue.add('a');
  queue.add('a');
  expect(queue.depth).toBe(0);
  queue.done('a');
  expect(queue.depth).toBe(1);
  expect(await queue.get()).toBe('a');
  queue.done('a');
  expect(queue.depth).toBe(0);
});

test('Q1 property: never two passes of one key, and no add is lost', async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('add' as const), key: fc.constantFrom('a', 'b', 'c'), priority: fc.constantFrom(-100, 0, 100) }),
    fc.record({ do: fc.constant('addAfter' as const), key: fc.constantFrom('a', 'b', 'c'), delayMs: fc.nat(50) }),
    fc.record({ do: fc.constant('addRateLimited' as const), key: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ do: fc.constant('get' as const) }),
    fc.record({ do: fc.constant('done' as const), pick: fc.nat(10) }),
    fc.record({ do: fc.constant('advance' as const), byMs: fc.nat(40) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { clock, queue } = make();
      const running: string[] = [];
      /** Keys that must still get a pass that begins after their last add. */
      const owed = new Set<string>();
      const work = async (): Promise<void> => {
        const key = await queue.get();
        if (key === undefined) return;
        expect(running).not.toContain(key);
        running.push(key);
        owed.delete(key);
      };
      const finish = (pick: number): void => {
        const key = running.splice(pick % Math.max(1, running.length), 1)[0];
        if (key !== undefined) queue.done(key);
      };
      const owe = (key: string, add: () => void): void => {
        owed.add(key);
        add();
      };
      for (const now of steps) {
        if (now.do === 'add') owe(now.key, () => queue.add(now.key, { priority: now.priority }));
        if (now.do === 'addAfter') owe(now.key, () => queue.addAfter(now.key, now.delayMs));
        if (now.do === 'addRateLimited') owe(now.key, () => queue.addRateLimited(now.key));
        if (now.do === 'get') void work();
        if (now.do === 'done') finish(now.pick);
        if (now.do === 'advance') clock.advance(now.byMs);
        await turn();
      }
      for (let round = 0; round < 200 && owed.size > 0; round += 1) {
        void work();
        clock.advance(1_000_000);
        await turn();
        finish(0);
      }
      expect([...owed]).toEqual([]);
      queue.shutDown();
    }),
    { numRuns: 200 },
  );
});

test('Q2: of several delays the earliest counts, and a plain add ends the waiting', async () => {
  const { clock, queue } = make();
  queue.addAfter('a', 100);
  queue.addAfter('a', 50);
  queue.addAfter('a', 80);
  clock.advance(49);
  expect(queue.depth).toBe(0);
  clock.advance(1);
  expect(await takeAll(queue)).toEqual(['a']);
  queue.done('a');
  queue.addAfter('b', 100);
  queue.add('b');
  expect(await takeAll(queue)).toEqual(['b']);
  queue.done('b');
  clock.advance(1_000);
  expect(queue.depth).toBe(0);
});

test('Q2 property: delayed keys come in order of their due time, with one timer', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 50 }), async (delays) => {
      const { clock, queue } = make();
      delays.forEach((delayMs, key) => queue.addAfter(`${key}`, delayMs));
      // Removing from the middle of the heap must keep the order of the rest.
      delays.forEach((_, key) => key % 3 === 0 && queue.add(`${key}`));
      expect(clock.pendingTimers).toBeLessThanOrEqual(1);
      await takeAll(queue);
      const due: number[] = [];
      for (let ms = 0; ms <= 1_000; ms += 1) {
        clock.advance(1);
        for (const key of await takeAll(queue)) due.push(delays[Number(key)] ?? 0);
      }
      expect(due).toEqual(delays.filter((_, key) => key % 3 !== 0).toSorted((a, b) => a - b));
    }),
    { numRuns: 20 },
  );
});

test('Q2: a delay longer than a Node timer can hold is not due at once', () => {
  const queue = new WorkQueue();
  queue.addAfter('a', 2 ** 40);
  expect(queue.depth).toBe(0);
  queue.shutDown();
});

test('Q3: a key backs off by 5 ms, 10 ms, 20 ms up to the cap, and from the start after forget', async () => {
  const { clock, queue } = make({ retryCapMs: 15 });
  const delayOf = async (): Promise<number> => {
    queue.addRateLimited('a');
    const fromMs = clock.nowMs();
    while (queue.depth === 0) clock.advance(1);
    queue.done((await queue.get()) ?? '');
    return clock.nowMs() - fromMs;
  };
  expect([await delayOf(), await delayOf(), await delayOf(), await delayOf()]).toEqual([5, 10, 15, 15]);
  queue.forget('a');
  expect(await delayOf()).toBe(5);
});

test('Q3: all retries share a bucket, and a named delay is a lower bound', () => {
  const { clock, queue } = make({ retriesPerSecond: 10, retryBurst: 2 });
  for (const key of ['a', 'b', 'c', 'd']) queue.addRateLimited(key);
  clock.advance(5);
  expect(queue.depth).toBe(2);
  clock.advance(95);
  expect(queue.depth).toBe(3);
  clock.advance(100);
  expect(queue.depth).toBe(4);
  queue.addRateLimited('e', { atLeastMs: 10_000 });
  clock.advance(9_999);
  expect(queue.depth).toBe(4);
  clock.advance(1);
  expect(queue.depth).toBe(5);
});

test('Q4: by priority, then by ready time; raised by a second add, never lowered; kept on retry', async () => {
  const { clock, queue } = make();
  queue.add('initial', { priority: priorities.background });
  queue.add('live');
  queue.add('asked', { priority: priorities.requested });
  queue.add('raised', { priority: priorities.background });
  queue.add('raised', { priority: priorities.requested });
  queue.add('asked', { priority: priorities.background });
  expect(await takeAll(queue)).toEqual(['asked', 'raised', 'live', 'initial']);
  queue.addRateLimited('initial');
  queue.done('initial');
  clock.advance(5);
  queue.add('later');
  expect(await takeAll(queue)).toEqual(['later', 'initial']);
});

test('Q4: a raised key does not come a second time from where it was', async () => {
  const { queue } = make();
  for (const key of ['a', 'b', 'c']) queue.add(key, { priority: priorities.background });
  queue.add('a');
  queue.add('b', { priority: priorities.requested });
  const picks = [await queue.get(), await queue.get()];
  queue.add('d', { priority: priorities.background });
  expect([...picks, ...(await takeAll(queue))]).toEqual(['b', 'a', 'c', 'd']);
});

test('Q4: every tenth pick takes the oldest, so that a low priority does not starve', async () => {
  const { queue } = make();
  queue.add('patient', { priority: priorities.background });
  const picks: (string | undefined)[] = [];
  for (let pick = 0; pick < 10; pick += 1) {
    queue.add(`live ${pick}`);
    picks.push(await queue.get());
  }
  expect(picks).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8].map((pick) => `live ${pick}`).concat('patient'));
});

test('Q5: groups take turns', async () => {
  const { queue } = make({ groupOf: (key) => key.split('/')[0] ?? '' });
  for (const key of ['big/1', 'big/2', 'big/3', 'small/1', 'big/4', 'small/2']) queue.add(key);
  expect(await takeAll(queue)).toEqual(['big/1', 'small/1', 'big/2', 'small/2', 'big/3', 'big/4']);
});

test('Q6: shutDown ends every waiting worker and takes nothing more', async () => {
  const { clock, queue } = make();
  const [first, second] = [ask(queue), ask(queue)];
  queue.addAfter('later', 10);
  queue.shutDown();
  queue.shutDown();
  queue.add('new');
  queue.addAfter('new', 1);
  queue.addRateLimited('new');
  clock.advance(100);
  await turn();
  expect([first, second, await queue.get(), queue.depth, clock.pendingTimers]).toEqual([[undefined], [undefined], undefined, 0, 0]);
});

test('Q6: drain waits for running keys, up to its deadline', async () => {
  const { clock, queue } = make();
  queue.add('a');
  await queue.get();
  const drained = queue.drain(1_000);
  queue.add('a');
  queue.done('a');
  expect(await drained).toBe(true);

  const other = make();
  other.queue.add('stuck');
  await other.queue.get();
  const late = other.queue.drain(1_000);
  other.clock.advance(1_000);
  expect(await late).toBe(false);
  expect(clock.pendingTimers).toBe(0);
  expect(await make().queue.drain(0)).toBe(true);
});

test('Q7: a hundred thousand keys in linear time', async () => {
  const { queue } = make();
  const startedMs = performance.now();
  for (let key = 0; key < 100_000; key += 1) queue.add(`${key}`);
  for (let key = 0; key < 100_000; key += 1) queue.done((await queue.get()) ?? '');
  expect(queue.depth).toBe(0);
  // About 0.2 s; `Array.shift` alone would take 0.8 s, a scan of a Map's head much longer.
  expect(performance.now() - startedMs).toBeLessThan(2_000);
});

test('Q8: what the metrics need', async () => {
  const seen: [string, number?][] = [];
  const { clock, queue } = make({
    observer: {
      added: () => seen.push(['added']),
      retried: () => seen.push(['retried']),
      started: (ms) => seen.push(['started', ms]),
      finished: (ms) => seen.push(['finished', ms]),
    },
  });
  queue.add('a');
  queue.add('a');
  clock.advance(3);
  await queue.get();
  clock.advance(7);
  expect([queue.unfinishedMs, queue.longestRunningMs]).toEqual([7, 7]);
  queue.add('a');
  queue.addRateLimited('a');
  queue.done('a');
  expect(seen).toEqual([['added'], ['started', 3], ['added'], ['retried'], ['finished', 7]]);
});
