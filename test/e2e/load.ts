/** One request: when it began and ended (milliseconds since the epoch), and which version answered or what went wrong. */
export interface Sample {
  readonly startedMs: number;
  readonly endedMs: number;
  readonly version?: string;
  readonly failure?: string;
}

/** One request that resolves with the version that answered, and rejects when the answer is not what the contract says. */
export type RequestOnce = () => Promise<string>;

/** More than this in flight means that the other side hangs; the rest counts as failed rather than piling up. */
const IN_FLIGHT_LIMIT = 500;

/** Sends requests at a constant rate, whatever the answers take, until it is stopped. */
export class Load {
  readonly samples: Sample[] = [];
  readonly #request: RequestOnce;
  readonly #timer: NodeJS.Timeout;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #startedMs = performance.now();
  #sent = 0;

  constructor(request: RequestOnce, perSecond: number) {
    this.#request = request;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - this.#startedMs) * perSecond) / 1000);
      while (this.#sent < due) this.#send();
    }, 5);
  }

  /** Resolves with all samples when the last answer is there. */
  async stop(): Promise<readonly Sample[]> {
    clearInterval(this.#timer);
    await Promise.all(this.#inFlight);
    return this.samples;
  }

  #send(): void {
    this.#sent += 1;
    const startedMs = nowMs();
    if (this.#inFlight.size >= IN_FLIGHT_LIMIT) {
      this.samples.push({ startedMs, endedMs: startedMs, failure: `${IN_FLIGHT_LIMIT} requests in flight` });
      return;
    }
    const done = this.#request().then(
      (version) => void this.samples.push({ startedMs, endedMs: nowMs(), version }),
      (error: unknown) => void this.samples.push({ startedMs, endedMs: nowMs(), failure: error instanceof Error ? error.message : String(error) }),
    );
    this.#inFlight.add(done);
    void done.finally(() => this.#inFlight.delete(done));
  }
}

/** Exactly `count` requests, `inFlight` at a time. */
export async function sendAll(request: RequestOnce, count: number, inFlight: number): Promise<readonly Sample[]> {
  const samples: Sample[] = [];
  let left = count;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const startedMs = nowMs();
      try {
        const version = await request();
        samples.push({ startedMs, endedMs: nowMs(), version });
      } catch (error) {
        samples.push({ startedMs, endedMs: nowMs(), failure: error instanceof Error ? error.message : String(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return samples;
}

/** Wall clock with the resolution of the monotonic one: compared with times that the operator writes. */
export const nowMs = (): number => performance.timeOrigin + performance.now();

export const failures = (samples: readonly Sample[]): readonly Sample[] => samples.filter((sample) => sample.failure !== undefined);

export const share = (samples: readonly Sample[], version: string): number => samples.filter((sample) => sample.version === version).length / samples.length;

/** Three standard deviations of a binomial share. */
export const threeSigma = (probability: number, count: number): number => 3 * Math.sqrt((probability * (1 - probability)) / count);
