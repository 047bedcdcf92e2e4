import type { Figures } from './figures.ts';
import { failures, Load, nowMs, type RequestOnce, type Sample } from './load.ts';
import { step } from './node-cluster.ts';
import { elapsed } from './until.ts';

interface Phase {
  readonly name: string;
  readonly startedMs: number;
}

export interface LoadedOptions {
  readonly request: RequestOnce;
  readonly perSecond: number;
}

/** What a phase breaks may show only when connections that were idle, or new ones, are used. */
const AFTERMATH_MS = 5_000;

/** Constant load while one thing after the other happens; each request counts for the phase in which it began. */
export class Phases {
  readonly #loads: ReadonlyMap<string, Load>;
  readonly #phases: Phase[] = [];

  constructor(loads: Readonly<Record<string, LoadedOptions>>) {
    this.#loads = new Map(Object.entries(loads).map(([protocol, { request, perSecond }]) => [protocol, new Load(request, perSecond)]));
  }

  /** `run` resolves when everything that it set off is over. */
  async phase(name: string, run: () => Promise<void>): Promise<void> {
    const phase = { name, startedMs: nowMs() };
    this.#phases.push(phase);
    await step(name.replaceAll('_', ' '), run);
    await elapsed(AFTERMATH_MS);
    for (const [protocol, load] of this.#loads) explain(protocol, load.samples.filter(({ startedMs }) => startedMs >= phase.startedMs));
  }

  /** Sent and failed in all, and failed for each phase. */
  async stop(run: string): Promise<Figures> {
    const samples = (await Promise.all([...this.#loads.values()].map((load) => load.stop()))).flat();
    const perPhase = this.#phases.map(({ name, startedMs }, index) => {
      const endMs = this.#phases[index + 1]?.startedMs ?? Number.POSITIVE_INFINITY;
      return [`${run}_${name}_failed`, failures(samples.filter((sample) => sample.startedMs >= startedMs && sample.startedMs < endMs)).length] as const;
    });
    return { [`${run}_sent`]: samples.length, [`${run}_failed`]: failures(samples).length, ...Object.fromEntries(perPhase) };
  }
}

function explain(protocol: string, samples: readonly Sample[]): void {
  const slowestMs = Math.max(0, ...samples.map(({ startedMs, endedMs }) => endedMs - startedMs));
  process.stdout.write(`    ${protocol}: ${samples.length} sent, ${failures(samples).length} failed, slowest ${Math.round(slowestMs)} ms\n`);
  for (const [message, group] of Map.groupBy(failures(samples), kindOfFailure)) {
    const [first, last] = [group[0], group.at(-1)].map((sample) => new Date(sample?.startedMs ?? 0).toISOString());
    process.stdout.write(`      ${group.length} times from ${first} to ${last}: ${message}\n`);
  }
}

/** Without the times that gRPC adds. */
const kindOfFailure = ({ failure = '' }: Sample): string => failure.replace(/ after \d.*$/, '');
