import type { Clock } from './clock.ts';

export interface TokenBucketOptions {
  readonly clock: Clock;
  readonly ratePerSecond: number;
  readonly burst: number;
}

/** Allows `burst` at once and `ratePerSecond` in the long run. */
export class TokenBucket {
  readonly #options: TokenBucketOptions;
  #tokens: number;
  #filledMs: number;

  constructor(options: TokenBucketOptions) {
    this.#options = options;
    this.#tokens = options.burst;
    this.#filledMs = options.clock.nowMs();
  }

  /** Takes a token now or on credit; says how long to wait for it. */
  reserveMs(): number {
    this.#fill();
    this.#tokens -= 1;
    return Math.max(0, (-this.#tokens / this.#options.ratePerSecond) * 1000);
  }

  /** Takes a token only if one is there. */
  tryTake(): boolean {
    this.#fill();
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  #fill(): void {
    const { clock, ratePerSecond, burst } = this.#options;
    const nowMs = clock.nowMs();
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#filledMs) / 1000) * ratePerSecond);
    this.#filledMs = nowMs;
  }
}
