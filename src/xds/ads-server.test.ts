/** What only shows with a real connection: who is let in, and what each identity sees. */
import { connect } from 'node:tls';
import { Client, credentials, status, type ClientDuplexStream, type StatusObject } from '@grpc/grpc-js';
import { afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { AdsEvent } from './ads-event.ts';
import { AdsServer } from './ads-server.ts';
import { createCertificateAuthority, issueFleetCertificate, issueServerCertificate, type CertificateAndKey } from './certificate-authority.ts';
import { encodeRequest } from './discovery-message.ts';
import { clusterResource, endpointsResource, listenerResource, readResponse, routeResource } from './fake-proxy.ts';
import { typeUrlOf } from './resource-type.ts';

let authority: CertificateAndKey;
let serverCertificate: CertificateAndKey;
let fleets: Readonly<Record<'red' | 'blue', CertificateAndKey>>;
let server: AdsServer;
let port: number;
let nowMs: number;
const events: AdsEvent[] = [];
const opened: Client[] = [];

beforeAll(async () => {
  authority = await createCertificateAuthority(Date.now());
  serverCertificate = await issueServerCertificate(authority, ['localhost'], Date.now());
  fleets = { red: await issueFleetCertificate(authority, 'red', Date.now()), blue: await issueFleetCertificate(authority, 'blue', Date.now()) };
});

beforeEach(async () => {
  nowMs = 5_000;
  events.length = 0;
  server = new AdsServer({
    certificate: { ...serverCertificate, caCertificates: authority.certificate },
    removalDelayMs: 1000,
    clock: { now: () => nowMs, after: () => () => {} },
    observe: (event) => events.push(event),
    maxStreamsPerNamespace: 2,
  });
  port = await server.listen({ host: '127.0.0.1', port: 0 });
});

afterEach(() => {
  for (const client of opened.splice(0)) client.close();
  server.close();
});

type Stream = ClientDuplexStream<Uint8Array, Buffer>;

function open(identity: CertificateAndKey | undefined): Stream {
  const [key, chain] = identity === undefined ? [null, null] : [Buffer.from(identity.privateKey), Buffer.from(identity.certificate)];
  const client = new Client(`localhost:${port}`, credentials.createSsl(Buffer.from(authority.certificate), key, chain));
  opened.push(client);
  const stream = client.makeBidiStreamRequest(
    '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
    (bytes: Uint8Array) => Buffer.from(bytes),
    (bytes: Buffer) => bytes,
  );
  stream.on('error', () => {});
  return stream;
}

const ended = (stream: Stream): Promise<StatusObject> => new Promise((resolve) => stream.on('status', resolve));

const next = (stream: Stream): Promise<ReturnType<typeof readResponse>> => new Promise((resolve) => stream.once('data', (bytes: Buffer) => resolve(readResponse(bytes))));

function subscribe(stream: Stream, nodeId: string): void {
  stream.write(encodeRequest({ nodeId, typeUrl: typeUrlOf('Cluster') }));
}

test('without a client certificate, or with one that is not a fleet’s, nobody gets in', async () => {
  expect((await ended(open(undefined))).code).toBe(status.UNAVAILABLE);
  const stranger = await createCertificateAuthority(Date.now());
  expect((await ended(open(await issueFleetCertificate(stranger, 'red', Date.now())))).code).toBe(status.UNAVAILABLE);
  // A server certificate is not one for clients, so the handshake refuses it already.
  expect((await ended(open(serverCertificate))).code).toBe(status.UNAVAILABLE);
  expect(events.filter((event) => event.kind === 'connected')).toEqual([]);
});

test('the namespace is that of the certificate', async () => {
  server.set('red', 'shop', [clusterResource('red-cluster')]);
  server.set('blue', 'shop', [clusterResource('blue-cluster')]);
  server.ready();
  const stream = open(fleets.blue);
  subscribe(stream, 'red/pod');
  expect([...(await next(stream)).resources.keys()]).toEqual(['blue-cluster']);
  expect(server.proxies('red')).toEqual([]);
  expect(server.proxies('blue')).toMatchObject([{ nodeId: 'red/pod', draining: false }]);
});

test('streams opened before ready() are held, then answered', async () => {
  const stream = open(fleets.red);
  let received = 0;
  stream.on('data', () => (received += 1));
  const connected = new Promise<void>((resolve) => server.onReceipt(() => resolve()));
  server.set('red', 'shop', [clusterResource('a')]);
  subscribe(stream, 'pod');
  await connected;
  expect(received).toBe(0);
  const answer = next(stream);
  server.ready();
  expect([...(await answer).resources.keys()]).toEqual(['a']);
});

test('the first request must name its node, and must be a request', async () => {
  const nameless = open(fleets.red);
  nameless.write(encodeRequest({ typeUrl: typeUrlOf('Cluster') }));
  expect((await ended(nameless)).code).toBe(status.INVALID_ARGUMENT);
  const garbage = open(fleets.red);
  garbage.write(Buffer.from('not a message'));
  expect((await ended(garbage)).code).toBe(status.INVALID_ARGUMENT);
  expect(events.filter((event) => event.kind === 'failed')).toHaveLength(2);
});

test('the streams of a namespace are bounded, and those of others unharmed', async () => {
  server.ready();
  for (const nodeId of ['a', 'b']) {
    const stream = open(fleets.red);
    subscribe(stream, nodeId);
    await next(stream);
  }
  const third = open(fleets.red);
  expect(await ended(third)).toMatchObject({ code: status.RESOURCE_EXHAUSTED, details: 'namespace red has 2 streams open' });
  const other = open(fleets.blue);
  subscribe(other, 'c');
  await next(other);
});

test('a newer stream of the same node takes the place of the older', async () => {
  server.ready();
  const older = open(fleets.red);
  subscribe(older, 'pod');
  await next(older);
  const end = ended(older);
  const newer = open(fleets.red);
  subscribe(newer, 'pod');
  await next(newer);
  expect((await end).code).toBe(status.ABORTED);
  expect(server.proxies('red')).toHaveLength(1);
});

test('a replaced certificate serves new connections; an unusable one changes nothing', async () => {
  const serialOf = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.certificate, key: fleets.red.privateKey, cert: fleets.red.certificate, ALPNProtocols: ['h2'] }, () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
      socket.on('error', reject);
    });
  const before = await serialOf();
  expect(() => server.replaceCertificate({ ...serverCertificate, privateKey: fleets.red.privateKey, caCertificates: authority.certificate })).toThrow(/key values mismatch/);
  expect(await serialOf()).toBe(before);
  server.replaceCertificate({ ...(await issueServerCertificate(authority, ['localhost'], Date.now())), caCertificates: authority.certificate });
  expect(await serialOf()).not.toBe(before);
});

test('the receipt of one owner: what was set when, what is missing, what was refused', async () => {
  const shop = (weight: number): Parameters<AdsServer['set']>[2] => [clusterResource('v1'), endpointsResource('v1'), listenerResource('shop'), routeResource('shop', { v1: weight })];
  server.set('red', 'shop', shop(1));
  server.ready();
  const stream = open(fleets.red);
  subscribe(stream, 'pod');
  const clusters = await next(stream);
  expect(server.receipt('red', 'shop')).toMatchObject({ setAtMs: 5_000, proxies: [{ nodeId: 'pod', acknowledgedAtMs: undefined, missing: ['Listener shop', 'RouteConfiguration shop'], rejections: [] }] });
  const changed = new Promise<string>((resolve) => server.onReceipt((namespace, owner) => resolve(`${namespace}/${owner}`)));
  stream.write(encodeRequest({ typeUrl: typeUrlOf('Cluster'), nonce: clusters.nonce, rejection: 'no such thing' }));
  expect(await changed).toBe('red/shop');
  expect(server.receipt('red', 'shop').proxies[0]?.rejections).toEqual([{ type: 'Cluster', name: 'v1', message: 'no such thing', atMs: 5_000 }]);
  const { hash } = server.receipt('red', 'shop');
  nowMs = 6_000;
  server.set('red', 'shop', shop(1));
  expect(server.receipt('red', 'shop')).toMatchObject({ hash, setAtMs: 5_000 });
  server.set('red', 'shop', shop(2));
  expect(server.receipt('red', 'shop').hash).not.toBe(hash);
  expect(server.receipt('red', 'shop').setAtMs).toBe(6_000);
});

test('set refuses what does not fit and leaves everything as it was', () => {
  server.set('red', 'shop', [clusterResource('a')]);
  expect(() => server.set('red', 'other', [clusterResource('b'), clusterResource('a')])).toThrow('Cluster a of other already belongs to shop');
  expect(() => server.set('red', 'other', [{ type: 'Cluster', name: 'c', body: { name: 'c', conectTimeout: {} } }])).toThrow('Cluster c.conectTimeout: Cluster has no such field');
  expect(server.receipt('red', 'other').hash).toBe('');
  server.set('blue', 'other', [clusterResource('a')]);
});
