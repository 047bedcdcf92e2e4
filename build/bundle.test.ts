import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ReflectedClient } from '../services/hello-grpc/reflected-client.ts';
import { startService } from '../services/service-process.ts';
import { bundle, bundlePath, programNames } from './bundle.ts';

// Far from node_modules and from the .proto files: what is not in the bundle is not found.
const folder = mkdtempSync(join(tmpdir(), 'bundle-test-'));

beforeAll(() => bundle(folder), 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

test('each program is one file', () => {
  expect(readdirSync(folder).toSorted()).toEqual(programNames.map((name) => `${name}.mjs`).toSorted());
});

test('hello-http serves and stops', async () => {
  await using service = await startService(bundlePath('hello-http', folder), { VERSION: 'v1' });
  const response = await fetch(`http://127.0.0.1:${service.port}/Ada`);
  expect(await response.text()).toBe('Hello, Ada!');
  expect(response.headers.get('x-version')).toBe('v1');
  expect(await service.stop()).toBe(0);
});

test('hello-grpc serves what it tells by reflection, and its health', async () => {
  await using service = await startService(bundlePath('hello-grpc', folder), { VERSION: 'v1' });
  using client = new ReflectedClient(service.port);
  for (const version of ['v1', 'v1alpha'] as const) {
    expect(await client.services(version)).toEqual(['helloworld.Greeter', 'hello.Hello', 'grpc.health.v1.Health']);
  }
  for (const greeter of ['helloworld.Greeter', 'hello.Hello']) {
    const outcome = await client.call(await client.method(greeter, 'SayHello'), { name: 'Ada' });
    expect(outcome).toMatchObject({ reply: { message: 'Hello Ada' }, trailers: { 'x-version': 'v1' } });
  }
  expect(await client.call(await client.method('grpc.health.v1.Health', 'Check'), { service: '' })).toMatchObject({ reply: { status: 'SERVING' } });
  expect(await service.stop()).toBe(0);
});

test('register stores', async () => {
  await using service = await startService(bundlePath('register', folder), { DATA_DIR: folder });
  const post = async (): Promise<number> => {
    const body = JSON.stringify({ username: 'Ada', password: 'correct horse' });
    return (await fetch(`http://127.0.0.1:${service.port}/register`, { method: 'POST', body })).status;
  };
  expect([await post(), await post()]).toEqual([200, 409]);
  expect(await service.stop()).toBe(0);
});

test('the operator reads its flags', async () => {
  const child = spawn(process.execPath, [bundlePath('operator', folder), '--nonsense'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [code] = await once(child, 'close');
  expect({ code, said }).toMatchObject({ code: 2, said: expect.stringContaining('--nonsense') });
});
