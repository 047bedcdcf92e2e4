import { systemClock, type Clock } from './clock.ts';
import { deadline } from './deadline.ts';
import type { Outcome } from './outcome.ts';
import type { WorkQueue } from './queue.ts';

/** One finished pass. */
export interface Pass {
  readonly key: string;
  readonly outcome: Outcome;
  readonly durationMs: number;
  /** The pass did not answer in time and was told to stop; its own result, should it come, is ignored. */
  readonly timedOut: boolean;
}

interface WorkersObserver {
  readonly started: (key: string) => void;
  readonly finished: (pass: Pass) => void;
}

export interface WorkersOptions {
  readonly queue: WorkQueue;
  readonly concurrency: number;
  /** One pass. Should end soon after `signal` aborts. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>;
  readonly timeoutMs: number;
  /** Aborts every running pass, for example when leadership is lost. */
  readonly signal?: AbortSignal;
  readonly observer?: WorkersObserver;
  readonly clock?: Clock;
}

/** Runs until the queue is shut down. Never rejects. */
export async function runWorkers(options: WorkersOptions): Promise<void> {
  await Promise.all(Array.from({ length: options.concurrency }, () => work(options)));
}

async function work(options: WorkersOptions): Promise<void> {
  for (let key = await options.queue.get(); key !== undefined; key = await options.queue.get()) {
    await pass(key, options);
  }
}

/**
 * A pass that ignores its signal gives the worker back at the deadline, but its key stays locked until it has really ended:
 * two passes of one key never overlap.
 */
async function pass(key: string, { queue, reconcile, timeoutMs, signal, observer, clock = systemClock }: WorkersOptions): Promise<void> {
  const startedMs = clock.nowMs();
  const limit = deadline({ clock, timeoutMs, parent: signal, reason: () => new Error(`the pass of ${key} took longer than ${timeoutMs} ms`) });
  observer?.started(key);
  const running = outcomeOf(() => reconcile(key, limit.signal));
  const outcome = await Promise.race([running, timedOut(limit.signal, limit.passed)]);
  limit.clear();
  observer?.finished({ key, outcome, durationMs: clock.nowMs() - startedMs, timedOut: limit.passed() });
  const release = (): void => {
    requeue(queue, key, outcome);
    queue.done(key);
  };
  if (limit.passed()) void running.then(release);
  else release();
}

/** The only interpreter of an Outcome. */
function requeue(queue: WorkQueue, key: string, outcome: Outcome): void {
  switch (outcome.kind) {
    case 'settled':
    case 'stalled':
      return queue.forget(key);
    case 'waiting':
      queue.forget(key);
      return queue.addAfter(key, outcome.afterMs);
    case 'failed':
      return queue.addRateLimited(key, { atLeastMs: outcome.retryAfterMs });
    default:
      return outcome satisfies never;
  }
}

async function outcomeOf(run: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await run();
  } catch (error) {
    return { kind: 'failed', error };
  }
}

/** Settles only if the deadline passes: an abort by the parent waits for the pass itself. */
const timedOut = (signal: AbortSignal, passed: () => boolean): Promise<Outcome> =>
  new Promise((resolve) => {
    signal.addEventListener('abort', () => passed() && resolve({ kind: 'failed', error: signal.reason }), { once: true });
  });
