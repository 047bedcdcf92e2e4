import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import winston from 'winston';
import { createRegister } from './register.ts';
import { UserStore } from './user-store.ts';

const log = winston.createLogger({ silent: true });
const folder = mkdtempSync(join(tmpdir(), 'register-test-'));
const store = new UserStore(folder);
const service = createRegister({ version: 'v7', log, metrics: new Registry(), store, hashing: { parallel: 1, maxWaiting: 2 } });
let url = '';

beforeAll(async () => {
  url = `http://127.0.0.1:${await service.listen(0)}`;
});
afterAll(async () => {
  service.cut();
  await service.finish();
  store.close();
  rmSync(folder, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

async function post(body: unknown, path = '/register', method = 'POST'): Promise<Answer> {
  const response = await fetch(url + path, { method, body: typeof body === 'string' ? body : JSON.stringify(body) });
  return { status: response.status, body: await response.json(), headers: response.headers };
}

const registered = { message: 'user registered successfully' };
const taken = { error: 'username is taken', field: 'username' };

test('a new name is registered, the same name again is not', async () => {
  const first = await post({ username: 'Ada', password: 'correct horse' });
  expect(first).toMatchObject({ status: 200, body: registered });
  expect(first.headers.get('content-type')).toBe('application/json');
  expect(first.headers.get('x-version')).toBe('v7');
  expect(await post({ username: 'Ada', password: 'another horse' })).toMatchObject({ status: 409, body: taken });
});

test('two spellings of one name are one user; case makes two', async () => {
  expect(await post({ username: 'Zo\u00eb', password: 'correct horse' })).toMatchObject({ status: 200 });
  expect(await post({ username: 'Zoe\u0308', password: 'correct horse' })).toMatchObject({ status: 409 });
  expect(await post({ username: 'zo\u00eb', password: 'correct horse' })).toMatchObject({ status: 200 });
});

test('of 100 parallel registrations of one name exactly one wins', async () => {
  const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => post({ username: 'wanted', password: `password ${i}` })));
  expect(answers.filter(({ status }) => status === 200).map(({ body }) => body)).toEqual([registered]);
  expect(answers.filter(({ status }) => status === 409).map(({ body }) => body)).toEqual(Array.from({ length: 99 }, () => taken));
});

test('too many names at once: some are told when to come back, nobody waits for long', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => post({ username: `crowd ${i}`, password: 'correct horse' })));
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.every(({ headers }) => headers.get('retry-after') === '2')).toBe(true);
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(20 - refused.length);
  expect(await post({ username: `crowd ${answers.findIndex(({ status }) => status === 429)}`, password: 'correct horse' })).toMatchObject({ status: 200 });
});

test('a name whose first registration was given up is free for the next', async () => {
  const busy = post({ username: 'busy', password: 'correct horse' });
  const agent = new Agent();
  const impatient = request(`${url}/register`, { method: 'POST', agent });
  impatient.on('error', () => undefined).end(JSON.stringify({ username: 'left', password: 'correct horse' }));
  await new Promise((resolve) => impatient.once('finish', resolve));
  impatient.destroy();
  expect(await busy).toMatchObject({ status: 200 });
  expect(await post({ username: 'left', password: 'correct horse' })).toMatchObject({ status: 200 });
});

test.each([
  ['POST', '/', 404, { error: 'not found: use POST /register' }],
  ['POST', '/register/x', 404, { error: 'not found: use POST /register' }],
  ['PUT', '/register', 405, { error: 'use POST' }],
  ['POST', '/register', 400, { error: 'username is missing', field: 'username' }],
])('%s %s ends in %i', async (method, path, status, body) => {
  const answer = await post({}, path, method);
  expect(answer).toMatchObject({ status });
  expect(answer.body).toEqual(body);
  expect(answer.headers.get('allow')).toBe(status === 405 ? 'POST' : null);
});

test('a 1 MB password is too large, whether its length is announced or not', async () => {
  const body = JSON.stringify({ username: 'Eve', password: 'p'.repeat(1024 * 1024) });
  const tooLarge = { status: 413, body: { error: 'the body must not exceed 16384 bytes' } };
  expect(await post(body)).toMatchObject(tooLarge);
  const chunks = new ReadableStream({ start: (controller) => (controller.enqueue(Buffer.from(body)), controller.close()) });
  const response = await fetch(`${url}/register`, { method: 'POST', body: chunks, duplex: 'half' });
  expect({ status: response.status, body: await response.json() }).toEqual(tooLarge);
});

test('the file holds hashes and no password', async () => {
  const password = 'a password that is found if it is there';
  await post({ username: 'hashed', password });
  const bytes = readdirSync(folder).map((name) => readFileSync(join(folder, name)).toString('latin1')).join('');
  expect(bytes).toContain('hashed$scrypt$ln=17,r=8,p=1$');
  expect(bytes).not.toContain(password);
  expect(bytes).not.toContain(Buffer.from(password).toString('base64').slice(0, 20));
});

test('a broken store is an error of ours, told without detail', async () => {
  const broken = new UserStore(mkdtempSync(join(folder, 'broken-')));
  const failing = createRegister({ version: 'v7', log, metrics: new Registry(), store: broken, hashing: { parallel: 1, maxWaiting: 1 } });
  const port = await failing.listen(0);
  broken.close();
  const response = await fetch(`http://127.0.0.1:${port}/register`, { method: 'POST', body: JSON.stringify({ username: 'Ada', password: 'correct horse' }) });
  expect({ status: response.status, body: await response.json() }).toEqual({ status: 500, body: { error: 'internal error' } });
  await failing.finish();
});
