import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import winston from 'winston';
import type { GracefulServer } from '../graceful-server.ts';
import { createHelloGrpc } from './hello-grpc.ts';
import { ReflectedClient } from './reflected-client.ts';

const log = winston.createLogger({ silent: true });
const metrics = new Registry();

function create(registry: Registry, maxCallMs?: number): GracefulServer {
  return createHelloGrpc({ version: 'v7', log, metrics: registry, metricsPort: 0, ...(maxCallMs === undefined ? {} : { maxCallMs }) });
}

const service = create(metrics);
let port = 0;
let client: ReflectedClient;

beforeAll(async () => {
  port = await service.listen(0);
  client = new ReflectedClient(port);
});
afterAll(async () => {
  client[Symbol.dispose]();
  service.cut();
  await service.finish();
});

test.each(['v1', 'v1alpha'] as const)('reflection %s lists both greeters and health', async (version) => {
  expect(await client.services(version)).toEqual(['helloworld.Greeter', 'hello.Hello', 'grpc.health.v1.Health']);
});

test.each([
  ['helloworld.Greeter', 'Ada', 'Hello Ada'],
  ['hello.Hello', 'Zoë 名 😀\n\0', 'Hello Zoë 名 😀\n\0'],
  ['hello.Hello', '', 'Hello '],
])('%s/SayHello, learned by reflection, greets %j', async (name, who, message) => {
  const sayHello = await client.method(name, 'SayHello');
  expect(await client.call(sayHello, { name: who })).toEqual({ reply: { message }, code: status.OK, details: 'OK', trailers: { 'x-version': 'v7' } });
});

test.each(['', 'helloworld.Greeter', 'hello.Hello'])('health of %j is SERVING', async (name) => {
  const check = await client.method('grpc.health.v1.Health', 'Check');
  expect(await client.call(check, { service: name })).toMatchObject({ reply: { status: 'SERVING' }, code: status.OK });
});

test('health of a stranger is NOT_FOUND, with the version all the same', async () => {
  const check = await client.method('grpc.health.v1.Health', 'Check');
  expect(await client.call(check, { service: 'other' })).toMatchObject({ code: status.NOT_FOUND, trailers: { 'x-version': 'v7' } });
});

test('a method that does not exist is UNIMPLEMENTED', async () => {
  const sayHello = await client.method('hello.Hello', 'SayHello');
  expect(await client.call({ ...sayHello, path: '/hello.Hello/SayGoodbye' }, {})).toMatchObject({ code: status.UNIMPLEMENTED });
});

test('stopping: health tells watchers, calls are still served, then the watch ends and so does the server', async () => {
  const stopping = create(new Registry());
  using own = new ReflectedClient(await stopping.listen(0));
  const watch = own.stream(await own.method('grpc.health.v1.Health', 'Watch'), { service: 'hello.Hello' });
  const sayHello = await own.method('hello.Hello', 'SayHello');
  expect((await watch.next()).value).toEqual({ status: 'SERVING' });
  stopping.announceStop();
  expect((await watch.next()).value).toEqual({ status: 'NOT_SERVING' });
  expect(await own.call(sayHello, { name: 'Ada' })).toMatchObject({ code: status.OK });
  const finished = stopping.finish();
  await expect(watch.next()).rejects.toMatchObject({ code: status.UNAVAILABLE, details: 'the server is stopping' });
  await finished;
  expect(await own.call(sayHello, { name: 'Ada' })).toMatchObject({ code: status.UNAVAILABLE });
});

test('calls are counted by method and code', async () => {
  const sayHello = await client.method('helloworld.Greeter', 'SayHello');
  await client.call(sayHello, { name: 'Ada' });
  expect(await metrics.metrics()).toMatch(
    /grpc_server_handling_seconds_count\{grpc_service="helloworld.Greeter",grpc_method="SayHello",grpc_code="OK"\} [1-9]/,
  );
});

test.each([
  ['past', 0, status.DEADLINE_EXCEEDED],
  ['in ten seconds', 10_000, status.OK],
  ['in ten years', 10 * 365 * 86_400_000, status.OK],
])('a deadline %s', async (_name, ms, code) => {
  const sayHello = await client.method('hello.Hello', 'SayHello');
  expect(await client.call(sayHello, { name: 'Ada' }, { deadline: ms === 0 ? 0 : Date.now() + ms })).toMatchObject({ code });
});

/** One call as raw HTTP/2; resolves with the status the server sent, or -1 where the stream ended without one. */
async function rawCall(headers: Record<string, string>, body: Buffer | undefined, toPort = port): Promise<number> {
  const session = connectHttp2(`http://127.0.0.1:${toPort}`);
  session.on('error', () => undefined);
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: '/hello.Hello/SayHello',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  const code = new Promise<number>((resolve) => {
    const read = (received: Record<string, unknown>): void => void ('grpc-status' in received && resolve(Number(received['grpc-status'])));
    stream.on('response', read).on('trailers', read).on('error', () => undefined);
    stream.once('close', () => resolve(-1));
  });
  stream.resume();
  if (body) stream.end(body);
  return code.finally(() => session.destroy());
}

/** A gRPC message: compressed flag, length, bytes. */
function framed(message: Buffer, { compressed = false, length = message.length } = {}): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed ? 1 : 0, 0);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

test.each([
  ['a message above the limit', {}, framed(Buffer.alloc(65 * 1024)), status.RESOURCE_EXHAUSTED],
  ['a message that says it has 4 GB', {}, framed(Buffer.alloc(10), { length: 2 ** 32 - 1 }), status.RESOURCE_EXHAUSTED],
  ['a zip bomb', { 'grpc-encoding': 'gzip' }, framed(gzipSync(Buffer.alloc(50 * 1024 * 1024)), { compressed: true }), status.RESOURCE_EXHAUSTED],
  ['broken gzip', { 'grpc-encoding': 'gzip' }, framed(Buffer.alloc(10, 7), { compressed: true }), status.INTERNAL],
  ['an unknown encoding', { 'grpc-encoding': 'br' }, framed(Buffer.alloc(10), { compressed: true }), status.UNIMPLEMENTED],
  ['bytes that are no message', {}, framed(Buffer.alloc(10, 0xff)), status.INTERNAL],
  ['a timeout that is no timeout', { 'grpc-timeout': 'soon' }, framed(Buffer.alloc(0)), status.INTERNAL],
  ['a timeout of one nanosecond', { 'grpc-timeout': '1n' }, undefined, status.DEADLINE_EXCEEDED],
  ['another content type', { 'content-type': 'text/html' }, framed(Buffer.alloc(0)), -1],
])('%s gets a typed error and harms nobody', async (_name, headers, body, code) => {
  expect(await rawCall(headers, body)).toBe(code);
  const sayHello = await client.method('hello.Hello', 'SayHello');
  expect(await client.call(sayHello, { name: 'Ada' })).toMatchObject({ code: status.OK });
});

test('a call that never sends its message ends when its time is over', async () => {
  const impatient = create(new Registry(), 100);
  const impatientPort = await impatient.listen(0);
  expect(await rawCall({}, undefined, impatientPort)).toBe(status.DEADLINE_EXCEEDED);
  await impatient.finish();
});

test('a flood of pings and a flood of resets end at most their own connection', async () => {
  const session = connectHttp2(`http://127.0.0.1:${port}`, { maxOutstandingPings: 100_000 });
  session.on('error', () => undefined);
  await once(session, 'connect');
  for (let i = 0; i < 20_000 && !session.destroyed; i++) session.ping(() => undefined);
  for (let i = 0; i < 5000 && !session.destroyed && !session.closed; i++) {
    const stream = session.request({ ':method': 'POST', ':path': '/hello.Hello/SayHello', 'content-type': 'application/grpc' });
    stream.on('error', () => undefined);
    stream.close(constants.NGHTTP2_CANCEL);
  }
  const sayHello = await client.method('hello.Hello', 'SayHello');
  expect(await client.call(sayHello, { name: 'Ada' })).toMatchObject({ code: status.OK });
  session.destroy();
});

test('what is not HTTP/2 is closed', async () => {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.resume().write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await new Promise((resolve) => socket.once('close', resolve));
  expect(socket.bytesRead).toBeLessThan(200);
});
