import { scryptSync } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { expect, test } from '@jest/globals';
import { PasswordHasher, hashParallelism } from './password-hasher.ts';

const waits = (): boolean => false;
const mebibyte = 1024 * 1024;

test('a PHC string with the parameters of ASVS 5.0, a new salt each time, and a key that anybody can check', async () => {
  const hasher = new PasswordHasher({ parallel: 1, maxWaiting: 1 });
  const hashes = await Promise.all([1, 2].map(() => hasher.hash({ password: 'pässwörd', isAbandoned: waits })));
  expect(new Set(hashes).size).toBe(2);
  for (const phc of hashes) {
    const [, salt = '', key = ''] = /^\$scrypt\$ln=17,r=8,p=1\$([\w+/]{22})\$([\w+/]{43})$/.exec(phc ?? '') ?? [];
    const expected = scryptSync('pässwörd', Buffer.from(salt, 'base64'), 32, { N: 2 ** 17, r: 8, p: 1, maxmem: 256 * mebibyte });
    expect(Buffer.from(key, 'base64')).toEqual(expected);
  }
});

test('more than fit are refused at once, and those who wait get their turn in order', async () => {
  const hasher = new PasswordHasher({ parallel: 1, maxWaiting: 1 });
  const ended: string[] = [];
  const hash = async (name: string): Promise<void> => {
    const phc = await hasher.hash({ password: name, isAbandoned: waits });
    ended.push(`${name} ${phc === undefined ? 'refused' : 'hashed'}`);
  };
  await Promise.all([hash('first'), hash('second'), hash('third'), hash('fourth')]);
  expect(ended).toEqual(['third refused', 'fourth refused', 'first hashed', 'second hashed']);
  await hash('later');
  expect(ended.at(-1)).toBe('later hashed');
});

test('whoever has gone makes room', async () => {
  const hasher = new PasswordHasher({ parallel: 1, maxWaiting: 1 });
  let left = false;
  const running = hasher.hash({ password: 'running', isAbandoned: waits });
  const leaving = hasher.hash({ password: 'leaving', isAbandoned: () => left });
  left = true;
  const next = hasher.hash({ password: 'next', isAbandoned: waits });
  expect(await leaving).toBeUndefined();
  expect(await next).toMatch(/^\$scrypt\$/);
  await running;
});

test('hashing does not block the event loop', async () => {
  const loop = monitorEventLoopDelay({ resolution: 5 });
  loop.enable();
  await new PasswordHasher({ parallel: 1, maxWaiting: 1 }).hash({ password: 'x', isAbandoned: waits });
  loop.disable();
  expect(loop.max / 1e6).toBeLessThan(150);
});

test.each([
  [256, 2, 1],
  [512, 2, 2],
  [512, 1, 1],
  [2048, 16, 3],
  [2 ** 44, 2, 2],
  [0, 2, 2],
])('a limit of %i MiB and %i processors: %i at a time', (limitMiB, processors, parallel) => {
  expect(hashParallelism({ memoryLimitBytes: limitMiB * mebibyte, totalMemoryBytes: 8192 * mebibyte, processors })).toBe(parallel);
});

test('too little memory is said before the first request, with what to do', () => {
  expect(() => hashParallelism({ memoryLimitBytes: 128 * mebibyte, totalMemoryBytes: 8192 * mebibyte, processors: 2 })).toThrow(
    'a password hash takes 128 MiB: raise the memory limit from 128Mi to 224Mi or more',
  );
});
