import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { programFiles, systemFiles } from './base-layer.ts';
import type { ImageFile } from './image.ts';

/** The layer that all images of Node programs share; the program is `/usr/local/bin/node`. About 130 MB. */
export async function nodeLayer(): Promise<readonly ImageFile[]> {
  const name = `node-linux-${process.arch}`;
  const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
  return [...systemFiles, ...(await programFiles('/usr/local/bin/node', join(dirname(manifest), 'bin/node')))];
}
