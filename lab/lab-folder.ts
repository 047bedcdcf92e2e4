import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const repository = resolve(import.meta.dirname, '..');

/** Where everything that is built or run goes. */
const outFolder = join(repository, 'out');
export const labsFolder = join(outFolder, 'lab');
export const binFolder = join(outFolder, 'bin');

/** The one folder that holds all state and logs of a lab. */
export interface LabFolder {
  readonly path: string;
  log(name: string): string;
  /** Writes a file that only its owner can read, with its folders, and answers its path. */
  write(name: string, content: string): string;
  file(name: string): string;
}

/** Empties the folder: a lab starts from nothing, and what an earlier one left is of no use to it. */
export function createLabFolder(path: string): LabFolder {
  rmSync(path, { recursive: true, force: true });
  const folder = openLabFolder(path);
  mkdirSync(folder.file('logs'), { recursive: true });
  chmodSync(folder.path, 0o700);
  return folder;
}

export function openLabFolder(path: string): LabFolder {
  const absolute = resolve(path);
  const file = (name: string): string => join(absolute, name);
  return {
    path: absolute,
    file,
    log: (name) => file(`logs/${name}.log`),
    write(name, content) {
      mkdirSync(join(file(name), '..'), { recursive: true });
      writeFileSync(file(name), content, { mode: 0o600 });
      return file(name);
    },
  };
}
