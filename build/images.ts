/**
 * Makes the images of the Dockerfile without Docker: `out/images/<name>.tar`, in the format of `docker save`, from `out/bundle` and the Node of
 * package-lock.json; and that of the fleet, `out/images/envoy.tar`, from the stock Envoy.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { nonRoot } from '../lab/base-layer.ts';
import { writeEnvoyImage } from '../lab/envoy-image.ts';
import { writeImage, type Image, type ImageFile } from '../lab/image.ts';
import { nodeLayer } from '../lab/node-image.ts';
import { bundlePath, programNames, type ProgramName } from './bundle.ts';

const imageFolder = fileURLToPath(new URL('../out/images', import.meta.url));

const exposedPorts: Readonly<Record<ProgramName, readonly number[]>> = {
  operator: [18_000, 8080, 8081],
  'hello-http': [8080],
  'hello-grpc': [50_051, 9090],
  register: [8080],
};

/** `microservice-operator/<name>:dev`: the layer that all share, and the program's own. */
export function programImage(name: ProgramName, bundle: string, sharedLayer: readonly ImageFile[]): Image {
  return {
    reference: `microservice-operator/${name}:dev`,
    layers: [sharedLayer, [{ path: '/app/main.mjs', from: bundle }]],
    config: { entrypoint: ['/usr/local/bin/node', '/app/main.mjs'], user: nonRoot.user, workingDir: '/', exposedPorts: exposedPorts[name] },
  };
}

export function imagePath(name: ProgramName): string {
  return path.join(imageFolder, `${name}.tar`);
}

if (import.meta.main) {
  const sharedLayer = await nodeLayer();
  for (const name of programNames) {
    const bundle = bundlePath(name);
    if (!existsSync(bundle)) throw new Error(`${bundle} is missing: run npm run bundle first`);
    writeImage(programImage(name, bundle, sharedLayer), imagePath(name));
    console.log(`out/images/${name}.tar`);
  }
  await writeEnvoyImage(path.join(imageFolder, 'envoy.tar'));
  console.log('out/images/envoy.tar');
}
