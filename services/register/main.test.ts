import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { startService } from '../service-process.ts';

const entry = `${import.meta.dirname}/main.ts`;
const folder = mkdtempSync(join(tmpdir(), 'register-main-test-'));
const password = 'a password that is found if it is there';

afterAll(() => rmSync(folder, { recursive: true }));

async function register(port: number, username: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/register`, { method: 'POST', body: JSON.stringify({ username, password }) });
  await response.arrayBuffer();
  return response.status;
}

test('who was told 200 is still there after a crash and after a clean stop', async () => {
  const names = ['Ada', 'Zoë', '名'];
  await using first = await startService(entry, { DATA_DIR: folder });
  expect(await Promise.all(names.map((name) => register(first.port, name)))).toEqual([200, 200, 200]);
  expect(await first.stop('SIGKILL')).toBe('SIGKILL');

  await using second = await startService(entry, { DATA_DIR: folder });
  expect(await Promise.all(names.map((name) => register(second.port, name)))).toEqual([409, 409, 409]);
  const inFlight = register(second.port, 'Grace');
  expect((await fetch(`http://127.0.0.1:${second.port}/readyz`)).status).toBe(200);
  const exit = second.stop();
  expect(await inFlight).toBe(200);
  expect(await exit).toBe(0);

  await using third = await startService(entry, { DATA_DIR: folder });
  expect(await register(third.port, 'Grace')).toBe(409);
  expect(first.output() + second.output() + third.output()).not.toContain('found if it is there');
}, 30_000);

test('a pod that overlaps with the one it replaces sees its users', async () => {
  await using old = await startService(entry, { DATA_DIR: folder });
  await using young = await startService(entry, { DATA_DIR: folder });
  expect(await register(old.port, 'overlap')).toBe(200);
  expect(await register(young.port, 'overlap')).toBe(409);
  const both = await Promise.all([old, young].map(({ port }) => register(port, 'raced')));
  expect(both.toSorted((a, b) => a - b)).toEqual([200, 409]);
}, 30_000);

test('without a volume it says what will be lost', async () => {
  await using service = await startService(entry, {});
  expect(service.output()).toContain('users are lost with this pod: set DATA_DIR to a folder on a volume');
  rmSync(String(/"folder":"([^"]+)"/.exec(service.output())?.[1]), { recursive: true });
});

test('a folder that it cannot write is named', async () => {
  await expect(startService(entry, { DATA_DIR: '/proc' })).rejects.toThrow('cannot keep users in /proc/users.db: DATA_DIR must be a folder that this user may write');
});
