import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { nodeLayer } from '../lab/node-image.ts';
import { programNames } from './bundle.ts';
import { programImage } from './images.ts';

const repository = fileURLToPath(new URL('..', import.meta.url));

interface Stage {
  readonly base: string;
  readonly instructions: readonly (readonly [string, string])[];
}

/** The stages of a Dockerfile by name. */
function stages(dockerfile: string): ReadonlyMap<string, Stage> {
  const blocks = dockerfile.replace(/^#.*\n/gm, '').split(/^FROM /m).slice(1);
  return new Map(
    blocks.map((block) => {
      const [, base = '', name = '', rest = ''] = /^(\S+) AS (\S+)\n([^]*)$/.exec(block) ?? [];
      const lines = rest.split('\n').filter((line) => line !== '');
      return [name, { base, instructions: lines.map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)] as const) }];
    }),
  );
}

const dockerfile = stages(readFileSync(path.join(repository, 'Dockerfile'), 'utf8'));

/** The instructions of a stage after those of the stages that it is made from. */
function inherited(name: string): Stage['instructions'] {
  const stage = dockerfile.get(name);
  return stage ? [...inherited(stage.base), ...stage.instructions] : [];
}

test('the Dockerfile has a target for each program and nothing else', () => {
  expect([...dockerfile.keys()].toSorted()).toEqual(['build', 'node', ...programNames].toSorted());
});

test.each(programNames)('%s: the Dockerfile and build/images.ts make the same image', async (name) => {
  const { config, layers } = programImage(name, `/src/out/bundle/${name}.mjs`, await nodeLayer());
  const instructions = inherited(name);
  const last = (instruction: string): string | undefined => instructions.findLast(([word]) => word === instruction)?.[1];
  expect(JSON.parse(last('ENTRYPOINT') ?? '')).toEqual(config.entrypoint);
  expect(last('CMD')).toBe(config.cmd);
  expect(last('ENV')).toBe(config.env);
  expect(last('USER')).toBe(config.user);
  expect(last('WORKDIR')).toBe(config.workingDir);
  expect(last('EXPOSE')).toBe(config.exposedPorts?.join(' '));

  const copies = instructions.filter(([word]) => word === 'COPY').map(([, text]) => text.split(' '));
  const added = layers.flat().filter((file) => !isBase(file.path));
  expect(copies.map(([, , to = '']) => to).toSorted()).toEqual(added.map((file) => file.path).toSorted());
  expect(copies).toContainEqual(['--from=build', `/src/out/bundle/${name}.mjs`, '/app/main.mjs']);
});

/** What distroless' cc image has as well. */
function isBase(file: string): boolean {
  return file === '/tmp' || file.startsWith('/etc/') || /^\/lib(64)?\/|^\/usr\/lib\//.test(file);
}

test('the final stage has no shell and no package manager, and each build stage installs without scripts', () => {
  expect(dockerfile.get('node')?.base).toMatch(/^gcr\.io\/distroless\/cc-debian\d+:nonroot$/);
  for (const name of ['node', ...programNames]) expect(dockerfile.get(name)?.instructions.some(([word]) => word === 'RUN')).toBe(false);
  expect(dockerfile.get('build')?.instructions).toContainEqual(['RUN', 'npm ci --ignore-scripts --no-audit --no-fund']);
});

test('what the build stage copies is not ignored', () => {
  const ignored = readFileSync(path.join(repository, '.dockerignore'), 'utf8').split('\n');
  const copied = (dockerfile.get('build')?.instructions ?? []).filter(([word]) => word === 'COPY').flatMap(([, text]) => text.split(' ').slice(0, -1));
  for (const file of copied) expect(ignored).toContain(`!${file}`);
});
