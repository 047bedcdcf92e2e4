/**
 * What to work on next: keys, never objects. Knows nothing of Kubernetes and never runs the work itself.
 * Ten events for one key are one pass; an event during a pass means one more pass.
 */
import { exponentialDelayMs } from './backoff.ts';
import { systemClock, type Clock } from './clock.ts';
import { DelayedKeys } from './delayed-keys.ts';
import { Fifo } from './fifo.ts';
import { ReadyKeys, type ReadyKey } from './ready-keys.ts';
import { TokenBucket } from './token-bucket.ts';

/** Initial lists and resyncs stand behind live events; what a person asked for stands before them. */
export const priorities = { background: -100, live: 0, requested: 100 } as const;

export interface AddOptions {
  /** Default: the priority of the pass that adds, else `priorities.live`. Raised on a second add, never lowered. */
  readonly priority?: number;
}

export interface RateLimitedOptions extends AddOptions {
  /** Not before this delay, for example a Retry-After. */
  readonly atLeastMs?: number | undefined;
}

/** For client-go's workqueue_* metrics; depth, unfinished and longest running are read from the queue when scraped. */
export interface QueueObserver {
  readonly added: () => void;
  readonly retried: () => void;
  /** A worker took a key that was ready for this long. */
  readonly started: (queuedMs: number) => void;
  readonly finished: (workMs: number) => void;
}

export interface WorkQueueOptions {
  readonly clock?: Clock;
  readonly observer?: QueueObserver;
  /** Keys of one group take turns with other groups, so that one tenant's ten thousand objects do not block the rest. Default: one group. */
  readonly groupOf?: (key: string) => string;
  /** Per key: base × 2^failures, up to the cap. Default 5 ms and 5 minutes. */
  readonly retryBaseMs?: number;
  readonly retryCapMs?: number;
  /** All retries together. Default 10 per second, burst 100. */
  readonly retriesPerSecond?: number;
  readonly retryBurst?: number;
}

interface Running {
  readonly priority: number;
  readonly sinceMs: number;
  /** Added during the pass: becomes ready when it is done. */
  again: ReadyKey | undefined;
}

export class WorkQueue {
  readonly #clock: Clock;
  readonly #observer: QueueObserver | undefined;
  readonly #ready: ReadyKeys;
  readonly #delayed: DelayedKeys;
  readonly #running = new Map<string, Running>();
  readonly #failures = new Map<string, number>();
  readonly #retryBaseMs: number;
  readonly #retryCapMs: number;
  readonly #retryBucket: TokenBucket;
  readonly #getters = new Fifo<(key: string | undefined) => void>();
  readonly #idleWaiters = new Set<() => void>();
  #shutDown = false;

  constructor(options: WorkQueueOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#observer = options.observer;
    this.#ready = new ReadyKeys(options.groupOf ?? (() => ''));
    this.#delayed = new DelayedKeys(this.#clock, (key, priority) => this.#add(key, priority));
    this.#retryBaseMs = options.retryBaseMs ?? 5;
    this.#retryCapMs = options.retryCapMs ?? 300_000;
    this.#retryBucket = new TokenBucket({ clock: this.#clock, ratePerSecond: options.retriesPerSecond ?? 10, burst: options.retryBurst ?? 100 });
  }

  /** Ready keys that no worker has taken yet. */
  get depth(): number {
    return this.#ready.size;
  }

  /** Sum over the running keys. */
  get unfinishedMs(): number {
    return this.#runningMs().reduce((sum, ms) => sum + ms, 0);
  }

  get longestRunningMs(): number {
    return Math.max(0, ...this.#runningMs());
  }

  /** Ready now, or right after the running pass of this key. */
  add(key: string, { priority = priorities.live }: AddOptions = {}): void {
    if (this.#shutDown) return;
    this.#add(key, Math.max(priority, this.#delayed.remove(key) ?? priority));
  }

  /** Ready after `delayMs`; of several times the earliest counts, and a plain `add` ends the waiting. */
  addAfter(key: string, delayMs: number, options: AddOptions = {}): void {
    if (this.#shutDown) return;
    const priority = options.priority ?? this.#running.get(key)?.priority ?? priorities.live;
    if (delayMs <= 0) return this.add(key, { priority });
    this.#delayed.add(key, this.#clock.nowMs() + delayMs, priority);
  }

  /** After a failure: the longest of the key's own backoff, the bucket of all retries, and `atLeastMs`. */
  addRateLimited(key: string, { atLeastMs = 0, ...options }: RateLimitedOptions = {}): void {
    if (this.#shutDown) return;
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.#observer?.retried();
    this.addAfter(key, Math.max(exponentialDelayMs(failures, this.#retryBaseMs, this.#retryCapMs), this.#retryBucket.reserveMs(), atLeastMs), options);
  }

  /** Its next failure is the first again. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** The next key, which is then running until `done`. Undefined once the queue is shut down. */
  async get(): Promise<string | undefined> {
    if (this.#shutDown) return undefined;
    const next = this.#ready.take();
    if (next) return this.#start(next);
    return new Promise((resolve) => this.#getters.push(resolve));
  }

  done(key: string): void {
    const pass = this.#running.get(key);
    if (!pass) return;
    this.#running.delete(key);
    this.#observer?.finished(this.#clock.nowMs() - pass.sinceMs);
    if (pass.again && !this.#shutDown) this.#ready.add(pass.again);
    this.#handOver();
    if (this.#running.size === 0) this.#idleWaiters.forEach((resolve) => resolve());
  }

  /** Takes nothing more and gives nothing more; running keys may finish. Idempotent. */
  shutDown(): void {
    this.#shutDown = true;
    this.#ready.clear();
    this.#delayed.clear();
    this.#failures.clear();
    for (let getter = this.#getters.shift(); getter; getter = this.#getters.shift()) getter(undefined);
  }

  /** Shuts down and waits for the running keys. False if some still run at the deadline. */
  async drain(deadlineMs: number): Promise<boolean> {
    this.shutDown();
    if (this.#running.size === 0) return true;
    return new Promise((resolve) => {
      const end = (drained: boolean): void => {
        cancel();
        this.#idleWaiters.delete(idle);
        resolve(drained);
      };
      const idle = (): void => end(true);
      const cancel = this.#clock.after(deadlineMs, () => end(false));
      this.#idleWaiters.add(idle);
    });
  }

  #add(key: string, priority: number): void {
    const pass = this.#running.get(key);
    const isNew = pass ? this.#addAgain(pass, key, priority) : this.#ready.add({ key, priority, readyAtMs: this.#clock.nowMs() });
    if (isNew) this.#observer?.added();
    this.#handOver();
  }

  #addAgain(pass: Running, key: string, priority: number): boolean {
    const isNew = !pass.again;
    pass.again = { key, priority: Math.max(priority, pass.again?.priority ?? priority), readyAtMs: pass.again?.readyAtMs ?? this.#clock.nowMs() };
    return isNew;
  }

  #handOver(): void {
    while (this.#getters.length > 0 && this.#ready.size > 0) {
      const next = this.#ready.take();
      if (next) this.#getters.shift()?.(this.#start(next));
    }
  }

  #start({ key, priority, readyAtMs }: ReadyKey): string {
    const nowMs = this.#clock.nowMs();
    this.#running.set(key, { priority, sinceMs: nowMs, again: undefined });
    this.#observer?.started(nowMs - readyAtMs);
    return key;
  }

  #runningMs(): number[] {
    const nowMs = this.#clock.nowMs();
    return [...this.#running.values()].map((pass) => nowMs - pass.sinceMs);
  }
}
