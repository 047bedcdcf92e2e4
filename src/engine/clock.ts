/** Time as the runtime needs it; tests pass a ManualClock. */
export interface Clock {
  /** Milliseconds from an arbitrary origin; never goes backwards. */
  readonly nowMs: () => number;
  /** Runs once after `delayMs`; the returned function cancels. A delay may end early (see `longestTimerMs`), so callers compare with `nowMs`. */
  readonly after: (delayMs: number, run: () => void) => () => void;
}

/** Node fires a longer timer at once instead of late. */
const longestTimerMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, Math.min(Math.max(0, delayMs), longestTimerMs));
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs`, or as soon as `signal` aborts; never rejects. */
export const pause = (clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = (): void => {
      cancel();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.after(delayMs, end);
    signal?.addEventListener('abort', end, { once: true });
  });
