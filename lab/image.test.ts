import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { programFiles } from './base-layer.ts';
import { writeImage } from './image.ts';
import type { Image } from './image.ts';
import { mustRun } from './run-command.ts';

const scratch = mkdtempSync(join(tmpdir(), 'image-test-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const program = join(scratch, 'program');
writeFileSync(program, 'x'.repeat(1000));
const deep = `/opt/${'directory/'.repeat(15)}file`;
const image: Image = {
  reference: 'example/app:1',
  layers: [
    [{ path: '/tmp', directory: true, mode: 0o1777 }, { path: deep, content: 'deep' }],
    [{ path: '/app/main.js', content: 'run()', uid: 65_532, gid: 65_532 }, { path: '/app/bin', from: program, mode: 0o755 }],
  ],
  config: { entrypoint: ['/app/bin'], cmd: ['--now'], env: { MODE: 'test' }, user: '65532:65532', workingDir: '/app', exposedPorts: [8080] },
};

test('an archive has the layers, a config that names their digests, and a manifest', async () => {
  const folder = await unpack(image, 'archive');
  expect(read(folder, 'manifest.json')).toEqual([{ Config: 'config.json', RepoTags: ['example/app:1'], Layers: ['layer-0.tar', 'layer-1.tar'] }]);
  const digests = ['layer-0.tar', 'layer-1.tar'].map((layer) => `sha256:${createHash('sha256').update(readFileSync(join(folder, layer))).digest('hex')}`);
  expect(read(folder, 'config.json')).toMatchObject({
    os: 'linux',
    config: { Entrypoint: ['/app/bin'], Cmd: ['--now'], Env: ['PATH=/usr/local/bin:/usr/bin:/bin', 'MODE=test'], User: '65532:65532', WorkingDir: '/app', ExposedPorts: { '8080/tcp': {} } },
    rootfs: { type: 'layers', diff_ids: digests },
  });
});

test('a layer keeps modes, owners, directories, long paths and contents', async () => {
  const folder = await unpack(image, 'layers');
  expect(await list(join(folder, 'layer-0.tar'))).toEqual([`-rw-r--r-- 0/0 4 ${deep.slice(1)}`, 'drwxrwxrwt 0/0 0 tmp/']);
  expect(await list(join(folder, 'layer-1.tar'))).toEqual(['-rwxr-xr-x 0/0 1000 app/bin', '-rw-r--r-- 65532/65532 5 app/main.js']);
  expect(await mustRun(['tar', '--extract', '--to-stdout', '--file', join(folder, 'layer-0.tar'), deep.slice(1)])).toBe('deep');
});

test('equal files make equal archives, whatever their order and time', () => {
  const [base = [], app = []] = image.layers;
  writeImage(image, join(scratch, 'one.tar'));
  writeFileSync(program, 'x'.repeat(1000));
  writeImage({ ...image, layers: [base.toReversed(), app.toReversed()] }, join(scratch, 'two.tar'));
  expect(readFileSync(join(scratch, 'one.tar')).equals(readFileSync(join(scratch, 'two.tar')))).toBe(true);
});

test('a path that tar cannot hold is refused', () => {
  const files = [{ path: `/${'x'.repeat(101)}`, content: '' }];
  expect(() => writeImage({ ...image, layers: [files] }, join(scratch, 'refused.tar'))).toThrow('the path is too long: xxx');
});

test('a program comes with the loader and the libraries that it names', async () => {
  const files = await programFiles('/usr/local/bin/node', process.execPath);
  expect(files[0]).toEqual({ path: '/usr/local/bin/node', from: process.execPath, mode: 0o755 });
  expect(files.map(({ path }) => path)).toEqual(expect.arrayContaining([expect.stringMatching(/\/libc\.so\.6$/u), expect.stringMatching(/\/ld-linux-/u)]));
});

async function unpack(wanted: Image, name: string): Promise<string> {
  const [archive, folder] = [join(scratch, `${name}.tar`), join(scratch, name)];
  writeImage(wanted, archive);
  await mustRun(['mkdir', folder]);
  await mustRun(['tar', '--extract', '--file', archive, '--directory', folder]);
  return folder;
}

async function list(archive: string): Promise<string[]> {
  const lines = (await mustRun(['tar', '--list', '--verbose', '--numeric-owner', '--file', archive])).trim().split('\n');
  return lines.map((line) => line.replace(/^(?<mode>\S+) (?<owner>\S+) +(?<size>\d+) \S+ \S+ /u, '$<mode> $<owner> $<size> '));
}

function read(folder: string, file: string): unknown {
  return JSON.parse(readFileSync(join(folder, file), 'utf8'));
}
