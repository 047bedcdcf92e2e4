import { setImmediate as turn } from 'node:timers/promises';

const sliceMs = 5;

/** Uses `ms` of processor time, in slices, so that probes and other requests get their turn in between. */
export async function burnCpu(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= sliceMs) {
    const end = performance.now() + Math.min(left, sliceMs);
    while (performance.now() < end);
    await turn();
  }
}
