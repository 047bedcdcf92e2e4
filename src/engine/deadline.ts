import type { Clock } from './clock.ts';

export interface Deadline {
  readonly signal: AbortSignal;
  readonly passed: () => boolean;
  /** The time no longer counts; the parent still does. */
  readonly lift: () => void;
  /** Must be called when the work has ended: frees the timer and the listener on the parent. */
  readonly clear: () => void;
}

export interface DeadlineOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly parent?: AbortSignal | undefined;
  /** The abort reason when the time is up. */
  readonly reason: () => Error;
}

/** A signal that aborts with its parent or when the time is up. Not `AbortSignal.any`: this one has an injectable clock and frees its listener at once. */
export function deadline({ clock, timeoutMs, parent, reason }: DeadlineOptions): Deadline {
  const controller = new AbortController();
  let passed = false;
  const follow = (): void => controller.abort(parent?.reason);
  const cancel = clock.after(timeoutMs, () => {
    passed = true;
    controller.abort(reason());
  });
  if (parent?.aborted) follow();
  else parent?.addEventListener('abort', follow, { once: true });
  return {
    signal: controller.signal,
    passed: () => passed,
    lift: cancel,
    clear: () => {
      cancel();
      parent?.removeEventListener('abort', follow);
    },
  };
}
