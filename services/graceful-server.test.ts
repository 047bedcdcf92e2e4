import { Worker } from 'node:worker_threads';
import { expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { stopGracefully } from './graceful-server.ts';
import { textError, plainText } from './http-answer.ts';
import { HttpService } from './http-service.ts';
import { createLogger } from './logger.ts';

/** A client with an event loop of its own. */
const CLIENT = `
const { workerData, parentPort } = require('node:worker_threads');
const { request } = require('node:http');
const sent = request({ host: '127.0.0.1', port: workerData.port, agent: false }, (answer) => {
  answer.resume();
  answer.on('end', () => parentPort.postMessage(String(answer.statusCode)));
});
sent.on('error', (error) => parentPort.postMessage(error.code));
sent.end();
sent.on('socket', (socket) => socket.on('connect', () => Atomics.add(new Int32Array(workerData.connected), 0, 1) + Atomics.notify(new Int32Array(workerData.connected), 0)));
`;

test('a connection that the kernel has taken while the process was busy is served before the server closes', async () => {
  const log = createLogger('test', 'v1');
  const server = new HttpService({ version: 'v1', log, metrics: new Registry(), maxBodyBytes: 0, renderError: textError, handle: () => plainText(200, 'ok') });
  const connected = new SharedArrayBuffer(4);
  const client = new Worker(CLIENT, { eval: true, workerData: { port: await server.listen(0), connected } });
  const answer = new Promise((resolve) => {
    client.once('message', resolve);
  });
  const delayMs = 1;
  const stopped = stopGracefully(server, { delayMs, timeoutMs: 5_000, log });
  // Blocks this thread, as a starved processor would, until the delay is over and the client is connected: nobody accepts meanwhile.
  Atomics.wait(new Int32Array(connected), 0, 0, 5_000);
  expect(Atomics.load(new Int32Array(connected), 0)).toBe(1);
  expect(await answer).toBe('200');
  await stopped;
  await client.terminate();
});
