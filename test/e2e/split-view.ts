import type { Load, Sample } from './load.ts';
import { failures, share } from './load.ts';
import { elapsed } from './until.ts';

const BAR_WIDTH = 40;

/** One line a second: which version has answered how much of the last second's requests. */
export async function watchSplit(load: Load, versions: readonly string[], seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    const seen = load.samples.length;
    await elapsed(1_000);
    process.stdout.write(`   ${splitLine(load.samples.slice(seen), versions)}   failed ${failures(load.samples).length}\n`);
  }
}

function splitLine(samples: readonly Sample[], versions: readonly string[]): string {
  if (samples.length === 0) return 'no answer yet';
  return versions
    .map((version) => {
      const part = share(samples, version);
      const bar = '#'.repeat(Math.round(part * BAR_WIDTH));
      return `${version} ${bar.padEnd(BAR_WIDTH)} ${String(Math.round(part * 100)).padStart(3)} %`;
    })
    .join('   ');
}
