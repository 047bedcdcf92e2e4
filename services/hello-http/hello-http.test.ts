import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import winston from 'winston';
import { createHelloHttp } from './hello-http.ts';

const log = winston.createLogger({ silent: true });
const service = createHelloHttp({ version: 'v7', log, metrics: new Registry(), loadEndpoint: false });
let port = 0;

beforeAll(async () => {
  port = await service.listen(0);
});
afterAll(async () => {
  service.cut();
  await service.finish();
});

const get = (path: string, init: RequestInit = {}): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`, init);

/** Sends bytes as they are; resolves with all that came back until the server closed. */
async function raw(bytes: string | Buffer): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let received = '';
  socket.setEncoding('utf8').on('data', (text: string) => (received += text));
  socket.on('error', () => undefined);
  socket.write(bytes);
  await closed(socket);
  return received;
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

test.each([
  ['/', 'Hello, world!'],
  ['/?name=x', 'Hello, world!'],
  ['/Ada', 'Hello, Ada!'],
  ['/Ada?shout=1', 'Hello, Ada!'],
  [`/${encodeURIComponent('Zoë 名 😀')}`, 'Hello, Zoë 名 😀!'],
  ['/a%2Fb', 'Hello, a/b!'],
  ['/a+b', 'Hello, a+b!'],
  ['/%3Cscript%3E', 'Hello, <script>!'],
  ['/%25%0A%00', 'Hello, %\n\0!'],
  ['/constructor', 'Hello, constructor!'],
])('GET %s', async (path, body) => {
  const response = await get(path);
  expect(response.status).toBe(200);
  expect(await response.text()).toBe(body);
  expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  expect(response.headers.get('x-version')).toBe('v7');
});

test('HEAD has the headers of GET and no body', async () => {
  const response = await get('/Ada', { method: 'HEAD' });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-length')).toBe('11');
  expect(await response.text()).toBe('');
});

test.each([
  ['/a/b', 'GET', 404],
  ['/a/', 'GET', 404],
  ['/-/load?ms=10', 'GET', 404],
  ['/%ff', 'GET', 400],
  ['/%', 'GET', 400],
  ['/Ada', 'POST', 405],
  ['/healthz', 'DELETE', 405],
])('%s by %s ends in %i', async (path, method, status) => {
  const response = await get(path, { method });
  expect(response.status).toBe(status);
  expect(response.headers.get('x-version')).toBe('v7');
  expect(response.headers.get('allow')).toBe(status === 405 ? 'GET, HEAD' : null);
});

test('probes and metrics', async () => {
  expect((await get('/healthz')).status).toBe(200);
  expect((await get('/readyz')).status).toBe(200);
  await get('/counted');
  const metrics = await get('/metrics');
  expect(metrics.headers.get('content-type')).toContain('text/plain; version=0.0.4');
  expect(await metrics.text()).toMatch(/http_request_duration_seconds_count\{method="GET",code="200"\} [1-9]/);
});

test('while stopping it is not ready, still serves, and asks clients to leave', async () => {
  const stopping = createHelloHttp({ version: 'v7', log, metrics: new Registry(), loadEndpoint: false });
  const url = `http://127.0.0.1:${await stopping.listen(0)}`;
  expect((await fetch(url)).headers.get('connection')).toBe('keep-alive');
  stopping.announceStop();
  expect((await fetch(`${url}/readyz`)).status).toBe(503);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  const response = await fetch(`${url}/Ada`);
  expect(response.headers.get('connection')).toBe('close');
  expect(await response.text()).toBe('Hello, Ada!');
  await stopping.finish();
  await expect(fetch(url)).rejects.toThrow('fetch failed');
});

test('the load endpoint burns what it is asked to, within bounds, and leaves room for probes', async () => {
  const loaded = createHelloHttp({ version: 'v7', log, metrics: new Registry(), loadEndpoint: true });
  const url = `http://127.0.0.1:${await loaded.listen(0)}`;
  const before = process.cpuUsage();
  const burning = fetch(`${url}/-/load?ms=300`);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  expect(await (await burning).text()).toBe('burned 300 ms\n');
  expect(process.cpuUsage(before).user).toBeGreaterThan(200_000);
  for (const ms of ['', '0', '1001', '-5', '1e3', '10.5', '99999999999']) {
    expect((await fetch(`${url}/-/load?ms=${ms}`)).status).toBe(400);
  }
  await loaded.finish();
});

test.each([
  ['one huge header', `GET / HTTP/1.1\r\nHost: x\r\na: ${'b'.repeat(9000)}\r\n\r\n`, 431],
  ['too many small headers', `GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${'a:b\r\n'.repeat(120)}\r\n`, 431],
  ['a huge path', `GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
  ['no host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
  ['bytes outside ASCII in the path', 'GET /Zoë HTTP/1.1\r\nHost: x\r\n\r\n', 400],
  ['not HTTP', '\0\0\0\0\r\n\r\n', 400],
  ['request smuggling', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  ['an asterisk', 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 400],
])('%s is refused', async (_name, bytes, status) => {
  expect(await raw(bytes)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
});

test('100 MB that nobody asked for: answered, then cut, without stall or growth', async () => {
  const loop = monitorEventLoopDelay({ resolution: 5 });
  const rssBefore = process.memoryUsage.rss();
  loop.enable();
  const socket = connect(port, '127.0.0.1');
  let received = '';
  socket.setEncoding('utf8').on('data', (text: string) => (received += text));
  socket.on('error', () => undefined);
  socket.write(`GET /Ada HTTP/1.1\r\nHost: x\r\nContent-Length: ${100 * 1024 * 1024}\r\n\r\n`);
  const megabyte = Buffer.alloc(1024 * 1024);
  let sent = 0;
  while (!socket.destroyed && sent < 100) {
    sent += 1;
    if (!socket.write(megabyte)) await Promise.race([once(socket, 'drain').catch(() => undefined), closed(socket)]);
  }
  loop.disable();
  expect(received).toMatch(/^HTTP\/1\.1 200 .*\r\nconnection: close\r\n/s);
  expect(sent).toBeLessThan(100);
  expect(process.memoryUsage.rss() - rssBefore).toBeLessThan(64 * 1024 * 1024);
  expect(loop.max / 1e6).toBeLessThan(250);
});

test('a million headers end the connection, not the service', async () => {
  expect(await raw(`GET / HTTP/1.1\r\nHost: x\r\n${'a:b\r\n'.repeat(1_000_000)}\r\n`)).not.toContain('200 OK');
  expect(await (await get('/Ada')).text()).toBe('Hello, Ada!');
});

test('a thousand connections that are reset at once disturb nobody', async () => {
  const resets = Array.from({ length: 1000 }, async () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.write('GET /Ada HTTP/1.1\r\nHost: x\r\n\r\n');
    socket.resetAndDestroy();
  });
  await Promise.all(resets);
  expect(await (await get('/Ada')).text()).toBe('Hello, Ada!');
});

test('a head that never ends is cut after five seconds', async () => {
  const startedAt = performance.now();
  const answer = await raw('GET / HTTP/1.1\r\nHost: x\r\n');
  expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  expect(performance.now() - startedAt).toBeLessThan(9000);
}, 15_000);
