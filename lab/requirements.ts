import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { binFolder } from './lab-folder.ts';

/** Throws with what is missing and how to get it. */
export function requireTools(profile: 'api' | 'node'): void {
  if (!existsSync(join(binFolder, 'kubernetes'))) throw new Error(`profile ${profile}: ${join(binFolder, 'kubernetes')} is missing. Build it: node lab/main.ts build`);
}
