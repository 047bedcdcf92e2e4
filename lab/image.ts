import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { tarEnd, tarEntryBytes, tarHeader, tarPadding } from './tar.ts';

/** A file of an image. `path` is absolute. Default: mode 0644, owned by root. */
export type ImageFile = { readonly path: string; readonly mode?: number; readonly uid?: number; readonly gid?: number } & (
  | { readonly from: string }
  | { readonly content: string | Buffer }
  | { readonly directory: true }
);

export interface Image {
  /** Name and tag, such as `microservice-operator/envoy:1.40.0`; not `:latest`, which the kubelet would pull. */
  readonly reference: string;
  /** Lowest first. Equal layers of two images are stored once, and their pages are shared in memory. */
  readonly layers: readonly (readonly ImageFile[])[];
  readonly config: ImageConfig;
}

interface ImageConfig {
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** `uid:gid`, in numbers, because `runAsNonRoot` refuses a name. */
  readonly user?: string;
  readonly workingDir?: string;
  readonly exposedPorts?: readonly number[];
}

/** Writes a docker-archive tar, as `docker load` and `ctr image import` read it. The same files and config give the same bytes. */
export function writeImage(image: Image, outPath: string): void {
  mkdirSync(dirname(outPath), { recursive: true });
  const unfinished = `${outPath}.unfinished`;
  const fd = openSync(unfinished, 'w');
  try {
    const diffIds = image.layers.map((layer, index) => writeLayer(fd, `layer-${index}.tar`, layer));
    writeFile(fd, 'config.json', JSON.stringify(imageConfig(image.config, diffIds)));
    const layers = image.layers.map((_, index) => `layer-${index}.tar`);
    writeFile(fd, 'manifest.json', JSON.stringify([{ Config: 'config.json', RepoTags: [image.reference], Layers: layers }]));
    writeSync(fd, tarEnd);
  } finally {
    closeSync(fd);
  }
  renameSync(unfinished, outPath);
}

/** Writes a layer as an entry of the archive and answers its digest. */
function writeLayer(fd: number, name: string, files: readonly ImageFile[]): string {
  const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const sizeBytes = sorted.reduce((sum, file) => sum + tarEntryBytes(fileBytes(file)), tarEnd.length);
  writeSync(fd, tarHeader({ path: name, type: 'file', mode: 0o644, uid: 0, gid: 0, sizeBytes }));
  const hash = createHash('sha256');
  const write = (chunk: Buffer): void => {
    hash.update(chunk);
    writeAll(fd, chunk);
  };
  for (const file of sorted) {
    const content = fileContent(file);
    write(tarHeader({ path: file.path.slice(1), type: 'directory' in file ? 'directory' : 'file', mode: file.mode ?? 0o644, uid: file.uid ?? 0, gid: file.gid ?? 0, sizeBytes: content.length }));
    write(content);
    write(tarPadding(content.length));
  }
  write(tarEnd);
  writeSync(fd, tarPadding(sizeBytes));
  return `sha256:${hash.digest('hex')}`;
}

function writeFile(fd: number, path: string, text: string): void {
  const content = Buffer.from(text);
  writeAll(fd, Buffer.concat([tarHeader({ path, type: 'file', mode: 0o644, uid: 0, gid: 0, sizeBytes: content.length }), content, tarPadding(content.length)]));
}

function writeAll(fd: number, chunk: Buffer): void {
  for (let written = 0; written < chunk.length; ) written += writeSync(fd, chunk, written);
}

function fileBytes(file: ImageFile): number {
  return 'from' in file ? statSync(file.from).size : fileContent(file).length;
}

function fileContent(file: ImageFile): Buffer {
  if ('from' in file) return readFileSync(file.from);
  return 'content' in file ? Buffer.from(file.content) : Buffer.alloc(0);
}

// The names are those of the OCI image specification, which took them over from Docker.
function imageConfig(config: ImageConfig, diffIds: readonly string[]): object {
  return {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: {
      Entrypoint: config.entrypoint,
      Cmd: config.cmd,
      Env: Object.entries({ PATH: '/usr/local/bin:/usr/bin:/bin', ...config.env }).map(([name, value]) => `${name}=${value}`),
      User: config.user,
      WorkingDir: config.workingDir,
      ExposedPorts: Object.fromEntries((config.exposedPorts ?? []).map((port) => [`${port}/tcp`, {}])),
    },
    rootfs: { type: 'layers', diff_ids: diffIds },
  };
}
