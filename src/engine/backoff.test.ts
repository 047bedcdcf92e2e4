import { expect, test } from '@jest/globals';
import { Backoff, exponentialDelayMs } from './backoff.ts';
import { pause } from './clock.ts';
import { deadline } from './deadline.ts';
import { ManualClock } from './manual-clock.ts';
import { TokenBucket } from './token-bucket.ts';

test('delays double up to the cap, however often', () => {
  expect([0, 1, 2, 3, 5_000].map((failures) => exponentialDelayMs(failures, 5, 30))).toEqual([5, 10, 20, 30, 30]);
});

test('R8: 0.8 s doubling to 30 s, jitter up to +100 %, forgotten after two quiet minutes', () => {
  const clock = new ManualClock();
  const delays = (random: () => number): number[] => {
    const backoff = new Backoff({ clock, random });
    return Array.from({ length: 8 }, () => backoff.nextMs());
  };
  expect(delays(() => 0)).toEqual([800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
  expect(delays(() => 0.5).slice(0, 2)).toEqual([1_200, 2_400]);
  const backoff = new Backoff({ clock, random: () => 0 });
  backoff.nextMs();
  clock.advance(800 + 120_000);
  expect(backoff.nextMs()).toBe(1_600);
  clock.advance(1_600 + 120_001);
  expect(backoff.nextMs()).toBe(800);
});

test('a bucket allows its burst at once and its rate in the long run', () => {
  const clock = new ManualClock();
  const bucket = new TokenBucket({ clock, ratePerSecond: 10, burst: 2 });
  expect([bucket.reserveMs(), bucket.reserveMs(), bucket.reserveMs(), bucket.reserveMs()]).toEqual([0, 0, 100, 200]);
  clock.advance(10_000);
  expect([bucket.tryTake(), bucket.tryTake(), bucket.tryTake()]).toEqual([true, true, false]);
  clock.advance(100);
  expect(bucket.tryTake()).toBe(true);
});

test('a pause ends with its time or with its signal, and leaves no timer', async () => {
  const clock = new ManualClock();
  const stop = new AbortController();
  const paused = pause(clock, 1_000, stop.signal);
  stop.abort();
  await paused;
  await pause(clock, 1_000, stop.signal);
  expect(clock.pendingTimers).toBe(0);
});

test('a deadline aborts with its reason, with its parent, or not at all once lifted', () => {
  const clock = new ManualClock();
  const parent = new AbortController();
  const make = (): ReturnType<typeof deadline> => deadline({ clock, timeoutMs: 100, parent: parent.signal, reason: () => new Error('late') });
  const [late, lifted, cleared] = [make(), make(), make()];
  lifted.lift();
  cleared.clear();
  clock.advance(100);
  expect([late.passed(), late.signal.reason]).toEqual([true, new Error('late')]);
  expect([lifted.passed(), lifted.signal.aborted]).toEqual([false, false]);
  parent.abort(new Error('stop'));
  expect([lifted.signal.reason, cleared.signal.aborted, make().signal.aborted]).toEqual([new Error('stop'), false, true]);
});
