import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { eventually } from '../engine/eventually.ts';
import { ManualClock } from '../engine/manual-clock.ts';
import { ApiError, ConnectionError, ProtocolError } from './api-error.ts';
import { Connection, type Credentials } from './connection.ts';
import { FakeApiServer } from './fake-api-server.ts';
import { resourceKinds } from './resource-kind.ts';
import { Transport, type TransportOptions } from './transport.ts';

let fake: FakeApiServer;
const open: Transport[] = [];

beforeEach(async () => {
  fake = await FakeApiServer.start();
});

afterEach(async () => {
  for (const transport of open.splice(0)) await transport.close();
  await fake.stop();
});

const make = (more: Partial<TransportOptions> = {}): Transport => {
  const transport = new Transport({ credentials: fake.credentials, version: '1.2.3', random: () => 0, ...more });
  open.push(transport);
  return transport;
};

const pods = { method: 'GET', path: '/api/v1/pods' } as const;

test('N1: a thousand calls share a few connections', async () => {
  const transport = make({ maxSockets: 8 });
  for (let round = 0; round < 50; round += 1) {
    await Promise.all(Array.from({ length: 20 }, () => transport.request(pods)));
  }
  expect(fake.requests).toHaveLength(1_000);
  expect(fake.connections).toBeLessThanOrEqual(8);
});

test('N8: requests carry our name and the credentials, query and body as given', async () => {
  await make().request({ ...pods, query: { limit: 5, labelSelector: 'a=b', continue: undefined } });
  const { headers, query } = fake.requests[0] ?? { headers: {}, query: new URLSearchParams() };
  expect(headers).toMatchObject({ 'user-agent': 'microservice-operator/1.2.3', authorization: 'Bearer fake', accept: 'application/json' });
  expect(Object.fromEntries(query)).toEqual({ limit: '5', labelSelector: 'a=b' });
});

test('a Status becomes an ApiError with code, reason, message and causes', async () => {
  const causes = [{ reason: 'FieldValueInvalid', field: 'spec.ports[0].port', message: 'must be at most 65535' }];
  fake.fail({ kind: 'status', code: 422, reason: 'Invalid', text: 'Service "a" is invalid', causes });
  const error = await make().request(pods).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({ code: 422, reason: 'Invalid', statusMessage: 'Service "a" is invalid', causes, message: 'GET /api/v1/pods: 422 Invalid: Service "a" is invalid' });
});

test('N5: a 429 is asked again, not before Retry-After, for every verb', async () => {
  fake.fail({ kind: 'status', code: 429, reason: 'TooManyRequests', retryAfterSeconds: 1 });
  const startedMs = performance.now();
  await make().request({ method: 'POST', path: '/api/v1/namespaces/a/pods', body: { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'a', name: 'p' } } });
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(1_000);
  expect(fake.requests).toHaveLength(2);
});

test('N5: a longer Retry-After than the call may take is left to the caller', async () => {
  fake.fail({ kind: 'status', code: 429, reason: 'TooManyRequests', retryAfterSeconds: 60 });
  await expect(make().request(pods)).rejects.toMatchObject({ code: 429, retryAfterMs: 60_000 });
});

test('N5: a 503 without Retry-After, or to a POST, is not asked again', async () => {
  const transport = make();
  fake.fail({ kind: 'status', code: 503, reason: 'ServiceUnavailable' });
  await expect(transport.request(pods)).rejects.toMatchObject({ code: 503, retryAfterMs: undefined });
  fake.fail({ kind: 'status', code: 503, reason: 'ServiceUnavailable', retryAfterSeconds: 0 });
  await expect(transport.request({ method: 'POST', path: '/api/v1/namespaces/a/pods', body: {} })).rejects.toMatchObject({ code: 503 });
  expect(fake.requests).toHaveLength(2);
});

test('N5: a broken connection is tried again only where that does no harm', async () => {
  const transport = make();
  fake.fail({ kind: 'reset' }, () => true, 2);
  await transport.request(pods);
  expect(fake.requests).toHaveLength(3);
  fake.fail({ kind: 'reset' });
  await expect(transport.request({ method: 'POST', path: '/api/v1/namespaces/a/pods', body: {} })).rejects.toBeInstanceOf(ConnectionError);
  expect(fake.requests).toHaveLength(4);
  fake.fail({ kind: 'reset' }, () => true, 3);
  await expect(transport.request(pods)).rejects.toBeInstanceOf(ConnectionError);
});

test('N2: no answer in time is a ConnectionError; an abort by the caller stays what it is', async () => {
  const transport = make();
  fake.fail({ kind: 'blackHole' }, () => true, 2);
  await expect(transport.request({ ...pods, timeoutMs: 50 })).rejects.toThrow('GET /api/v1/pods: no answer within 50 ms');
  const stop = new AbortController();
  const pending = transport.request({ ...pods, signal: stop.signal });
  await eventually(() => fake.requests.length === 2);
  stop.abort(new Error('stopping'));
  await expect(pending).rejects.toThrow('stopping');
  await expect(transport.request({ ...pods, signal: stop.signal })).rejects.toThrow('stopping');
});

test('N3: a watch without a byte for too long fails', async () => {
  fake.switches.deaf = true;
  const chunks = await make().watch({ path: '/api/v1/pods', query: { watch: true }, signal: new AbortController().signal, inactivityMs: 300 });
  const read = async (): Promise<void> => {
    for await (const _ of chunks) expect(_).toBeUndefined();
  };
  await expect(read()).rejects.toBeInstanceOf(ConnectionError);
});

test('N7: a 401 is tried once more with fresh credentials', async () => {
  const reads: boolean[] = [];
  const credentials = {
    read: async ({ afresh }: { readonly afresh: boolean }): Promise<Credentials> => {
      reads.push(afresh);
      return { server: fake.url, headers: { Authorization: `Bearer ${reads.length}` }, tls: {} };
    },
  };
  fake.fail({ kind: 'status', code: 401, reason: 'Unauthorized' });
  const transport = make({ credentials });
  await transport.request(pods);
  expect(reads).toEqual([false, true]);
  expect(fake.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer 1', 'Bearer 2']);
  fake.fail({ kind: 'status', code: 401, reason: 'Unauthorized' }, () => true, 2);
  await expect(transport.request(pods)).rejects.toMatchObject({ code: 401 });
  expect(fake.requests).toHaveLength(4);
});

test('N7: credentials are read again each minute; only another certificate makes a new Agent', async () => {
  const clock = new ManualClock();
  let current: Credentials = { server: fake.url, headers: { Authorization: 'Bearer old' }, tls: { ca: 'one' } };
  let fails = false;
  const connection = new Connection({ credentials: { read: async () => (fails ? Promise.reject(new Error('half written')) : current) }, clock, maxSockets: 1, allowH2: false });
  const first = await connection.session();
  current = { ...current, headers: { Authorization: 'Bearer new' }, tls: { ca: 'one' } };
  expect(await connection.session()).toBe(first);
  clock.advance(60_000);
  const second = await connection.session();
  expect([second.agent === first.agent, second.credentials.headers['Authorization']]).toEqual([true, 'Bearer new']);
  current = { ...current, tls: { ca: 'two' } };
  clock.advance(60_000);
  const third = await connection.session();
  expect([third.agent === second.agent, first.agent.closed]).toEqual([false, true]);
  fails = true;
  clock.advance(60_000);
  expect(await connection.session()).toBe(third);
  await connection.close();
});

test('credentials that cannot be read at all are named', async () => {
  const credentials = { read: async () => Promise.reject(new Error('ENOENT: /var/run/token')) };
  await expect(make({ credentials }).request({ ...pods, idempotent: false })).rejects.toThrow('cannot read the credentials of the cluster: Error: ENOENT: /var/run/token');
});

test('N8: an answer that is too large fails instead of filling the memory', async () => {
  for (let index = 0; index < 20; index += 1) fake.put({ apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'a', name: `p${index}` } });
  await expect(make({ maxAnswerBytes: 500 }).request(pods)).rejects.toBeInstanceOf(ProtocolError);
});

test('every attempt is observed', async () => {
  const seen: unknown[] = [];
  fake.fail({ kind: 'reset' });
  await make({ observer: { answered: ({ method, path, watch, code }) => seen.push([method, path, watch, code]) } }).request(pods);
  expect(seen).toEqual([['GET', '/api/v1/pods', false, 0], ['GET', '/api/v1/pods', false, 200]]);
});

test('a path before the API, as some gateways have it, is kept', async () => {
  const credentials = { read: async (): Promise<Credentials> => ({ server: `${fake.url}/k8s/clusters/one/`, headers: {}, tls: {} }) };
  await expect(make({ credentials }).request(pods)).rejects.toMatchObject({ code: 404 });
  expect(fake.requests[0]?.path).toBe('/k8s/clusters/one/api/v1/pods');
  expect(fake.stored(resourceKinds.pod)).toEqual([]);
});
