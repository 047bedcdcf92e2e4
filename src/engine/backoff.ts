import type { Clock } from './clock.ts';

/** base, 2 base, 4 base, ... up to the cap. `failures` counts from 0. */
export const exponentialDelayMs = (failures: number, baseMs: number, capMs: number): number => Math.min(capMs, baseMs * 2 ** failures);

export interface BackoffOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly baseMs?: number;
  readonly capMs?: number;
  /** A quiet time this long starts again from the base. */
  readonly resetAfterMs?: number;
}

/** Delays of one endless loop: 0.8 s doubling to 30 s, up to twice that by jitter, forgotten after 2 minutes without a failure. Never gives up. */
export class Backoff {
  readonly #options: Required<BackoffOptions>;
  #failures = 0;
  #lastMs: number | undefined;

  constructor(options: BackoffOptions) {
    this.#options = { baseMs: 800, capMs: 30_000, resetAfterMs: 120_000, ...options };
  }

  nextMs(): number {
    const { clock, random, baseMs, capMs, resetAfterMs } = this.#options;
    const nowMs = clock.nowMs();
    if (this.#lastMs !== undefined && nowMs - this.#lastMs > resetAfterMs) this.#failures = 0;
    const delayMs = exponentialDelayMs(this.#failures, baseMs, capMs) * (1 + random());
    this.#failures += 1;
    this.#lastMs = nowMs + delayMs;
    return delayMs;
  }
}
