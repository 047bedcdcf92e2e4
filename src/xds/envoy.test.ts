/** The ADS server against a real Envoy, under load. */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer, connect, type Server as TcpServer } from 'node:net';
import type { Server } from 'node:http';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { installEnvoy } from '../../build/envoy.ts';
import { cluster, clusterName, loadAssignment } from '../traffic/cluster.ts';
import { httpListener, tcpListener } from '../traffic/listener.ts';
import type { Resource } from '../traffic/resource.ts';
import { routeConfiguration } from '../traffic/route.ts';
import type { AdsEvent } from './ads-event.ts';
import { AdsServer } from './ads-server.ts';
import { createCertificateAuthority, issueFleetCertificate, issueServerCertificate, type CertificateAndKey } from './certificate-authority.ts';
import { systemClock } from './clock.ts';
import { type EnvoyProcess, type FleetCertificate, freePorts, portOf, startBackend, startEnvoy } from './envoy-process.ts';
import { KeepAliveLoad } from './keep-alive-load.ts';

jest.setTimeout(60_000);

const namespace = 'shop';
const nodeId = 'pod-1';
const removalDelayMs = 400;

let authority: CertificateAndKey;
let server: AdsServer;
let envoy: EnvoyProcess;
let xdsPort: number;
let httpPort: number;
let tcpPort: number;
let badPort: number;
let deadPort: number;
const backends = new Map<string, Server>();
const tcpBackends = new Map<string, TcpServer>();
const events: AdsEvent[] = [];

beforeAll(async () => {
  installEnvoy();
  authority = await createCertificateAuthority(Date.now());
  [xdsPort = 0, httpPort = 0, tcpPort = 0, badPort = 0, deadPort = 0] = await freePorts(5);
  for (const version of ['v1', 'v2', 'v3']) {
    backends.set(version, await startBackend(version));
    const tcpBackend = createServer((socket) => socket.on('error', () => {}).end(version)).listen(0, '127.0.0.1');
    await once(tcpBackend, 'listening');
    tcpBackends.set(version, tcpBackend);
  }
  server = await startServer();
  server.set(namespace, 'hello', hello({ v1: 90, v2: 10 }));
  server.ready();
  envoy = await startEnvoy({ nodeId, xdsPort, ...(await fleetCertificate()) });
  await until('Envoy is ready', async () => (await statusOf(`http://127.0.0.1:${envoy.readyPort}/ready`)) === 200);
});

afterAll(async () => {
  await envoy?.stop();
  server?.close();
  for (const backend of [...backends.values(), ...tcpBackends.values()]) backend.close();
});

async function startServer(): Promise<AdsServer> {
  const { certificate, privateKey } = await issueServerCertificate(authority, ['localhost'], Date.now());
  const started = new AdsServer({
    certificate: { certificate, privateKey, caCertificates: authority.certificate },
    removalDelayMs,
    clock: systemClock,
    observe: (event) => events.push(event),
  });
  await started.listen({ host: '127.0.0.1', port: xdsPort });
  return started;
}

async function fleetCertificate(): Promise<FleetCertificate> {
  return { ...(await issueFleetCertificate(authority, namespace, Date.now())), authority: authority.certificate };
}

const hello = (weights: Readonly<Record<string, number>>, kept: readonly string[] = []): Resource[] => {
  const versions = [...Object.keys(weights), ...kept];
  const name = (version: string): string => clusterName('hello', version, 'http');
  return [
    ...versions.map((version) => cluster(name(version), 'HTTP')),
    ...versions.map((version) => loadAssignment(name(version), [{ address: '127.0.0.1', port: portOf(found(backends, version)), health: 'HEALTHY' }])),
    httpListener('hello/http', httpPort, 'HTTP'),
    routeConfiguration(
      'hello/http',
      Object.entries(weights).map(([version, weight]) => ({ cluster: name(version), weight })),
    ),
  ];
};

const database = (weights: Readonly<Record<string, number>>): Resource[] => [
  cluster('db/tcp', 'TCP'),
  loadAssignment(
    'db/tcp',
    Object.entries(weights).map(([version, weight]) => ({ address: '127.0.0.1', port: portOf(found(tcpBackends, version)), health: 'HEALTHY' as const, weight })),
  ),
  tcpListener('db/tcp', tcpPort, 'db/tcp'),
];

test('requests are split 90 to 10', async () => {
  await acknowledged('hello');
  const load = new KeepAliveLoad(httpPort, 8);
  await until('2000 answers', () => load.count >= 2000);
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(Math.abs((load.answers.get('v1') ?? 0) - load.count * 0.9)).toBeLessThan(4 * Math.sqrt(load.count * 0.09));
  expect([...load.answers.keys()].toSorted()).toEqual(['v1', 'v2']);
});

test('100 weight edits under load: each is acknowledged within milliseconds and no request fails', async () => {
  const load = new KeepAliveLoad(httpPort, 4);
  await until('load', () => load.count > 10);
  const delaysMs: number[] = [];
  for (let edit = 1; edit <= 100; edit += 1) {
    const startMs = performance.now();
    server.set(namespace, 'hello', hello({ v1: 100 - edit, v2: edit }));
    await acknowledged('hello');
    delaysMs.push(performance.now() - startMs);
    const before = load.count;
    await until('answers on the new split', () => load.count >= before + 10);
  }
  await load.stop();
  expect(load.failures).toEqual([]);
  const sorted = delaysMs.toSorted((a, b) => a - b);
  console.info(`weight edit to ACK under load, ${load.count} requests: p50 ${sorted[50]?.toFixed(1)} ms, p99 ${sorted[98]?.toFixed(1)} ms`);
  expect(sorted[50]).toBeLessThan(50);
  expect(load.count).toBeGreaterThan(1000);
});

test('a version comes and goes under load without a failed request', async () => {
  const load = new KeepAliveLoad(httpPort, 4);
  server.set(namespace, 'hello', hello({ v1: 1, v2: 1, v3: 1 }));
  await acknowledged('hello');
  await until('v3 answers', () => (load.answers.get('v3') ?? 0) > 20);
  server.set(namespace, 'hello', hello({ v1: 1, v2: 1 }));
  expect(server.holders(namespace, 'Cluster', clusterName('hello', 'v3', 'http'))).toEqual([{ nodeId, mayRoute: true }]);
  await acknowledged('hello');
  expect(server.holders(namespace, 'Cluster', clusterName('hello', 'v3', 'http'))).toEqual([{ nodeId, mayRoute: false }]);
  await until('the cluster is gone', () => server.holders(namespace, 'Cluster', clusterName('hello', 'v3', 'http')).length === 0);
  const clusters = await (await fetch(`http://127.0.0.1:${envoy.adminPort}/clusters`)).text();
  expect(clusters).toContain('hello/v2/http');
  expect(clusters).not.toContain('hello/v3/http');
  await load.stop();
  expect(load.failures).toEqual([]);
});

test('a changed cluster warms again and goes into force', async () => {
  const load = new KeepAliveLoad(httpPort, 4);
  const changed = hello({ v1: 1, v2: 1 }).map((resource) => (resource.type === 'Cluster' ? { ...resource, body: { ...resource.body, connectTimeout: { seconds: 3 } } } : resource));
  server.set(namespace, 'hello', changed);
  await until('no cluster is warming and the new value is in force', async () => {
    const dump = await (await fetch(`http://127.0.0.1:${envoy.adminPort}/config_dump?resource=dynamic_active_clusters`)).text();
    return (dump.match(/"connect_timeout": "3s"/g) ?? []).length === 2;
  });
  await load.stop();
  expect(load.failures).toEqual([]);
});

test('TCP connections follow the weights of the endpoints, proven by the ACK of the endpoints', async () => {
  server.set(namespace, 'db', database({ v1: 3, v2: 1 }));
  await acknowledged('db');
  expect(await connections(80)).toEqual({ v1: 60, v2: 20 });
  const { hash } = server.receipt(namespace, 'db');
  server.set(namespace, 'db', database({ v2: 1 }));
  expect(server.receipt(namespace, 'db').hash).not.toBe(hash);
  await acknowledged('db');
  expect(await connections(20)).toEqual({ v2: 20 });
});

test('an endpoint that cannot be reached is passed over without a failed request, but never the only one', async () => {
  const [dead, living] = [{ address: '127.0.0.1', port: deadPort, health: 'HEALTHY' as const }, { address: '127.0.0.1', port: portOf(found(backends, 'v1')), health: 'HEALTHY' as const }];
  const withEndpoints = (endpoints: readonly (typeof dead)[]): Resource[] => hello({ v1: 1 }).map((resource) => (resource.type === 'ClusterLoadAssignment' ? loadAssignment(resource.name, endpoints) : resource));
  const healthFlags = async (): Promise<string> => {
    const clusters = await (await fetch(`http://127.0.0.1:${envoy.adminPort}/clusters`)).text();
    return new RegExp(`^hello/v1/http::127.0.0.1:${deadPort}::health_flags::(.*)$`, 'm').exec(clusters)?.[1] ?? 'no such endpoint';
  };
  server.set(namespace, 'hello', withEndpoints([dead, living]));
  await until('both endpoints are in force', async () => (await healthFlags()) === 'healthy');
  const load = new KeepAliveLoad(httpPort, 4);
  await until('it is passed over', async () => (await healthFlags()) === '/failed_outlier_check');
  await load.stop();
  expect(load.failures).toEqual([]);

  server.set(namespace, 'hello', withEndpoints([dead]));
  await until('only the dead one is in force, and healthy again', async () => (await healthFlags()) === 'healthy');
  for (let count = 0; count < 20; count += 1) expect(await statusOf(`http://127.0.0.1:${httpPort}/`)).toBe(503);
  expect(await healthFlags()).toBe('healthy');
  server.set(namespace, 'hello', hello({ v1: 1, v2: 1 }));
  await until('the living one is back', async () => (await statusOf(`http://127.0.0.1:${httpPort}/`)) === 200);
});

test('a resource that Envoy refuses is named, and holds up nobody else', async () => {
  const bad: Resource[] = [
    cluster('bad/v1/http', 'HTTP'),
    loadAssignment('bad/v1/http', []),
    httpListener('bad/http', badPort, 'HTTP'),
    routeConfiguration('bad/http', [{ cluster: 'bad/v1/http', weight: 0 }]), // Envoy wants a sum above 0
  ];
  server.set(namespace, 'bad', bad);
  await until('the refusal', () => server.receipt(namespace, 'bad').proxies[0]?.rejections.length === 1);
  expect(server.receipt(namespace, 'bad').proxies[0]?.rejections[0]).toMatchObject({ type: 'RouteConfiguration', name: 'bad/http', message: expect.stringContaining('weight') });
  server.set(namespace, 'hello', hello({ v1: 7, v2: 3 }));
  await acknowledged('hello');
  // Two clusters in one response, one of them bad: the response is refused as a whole, the good one arrives nevertheless.
  const broken = { ...cluster('broken', 'HTTP'), body: { ...cluster('broken', 'HTTP').body, connectTimeout: { seconds: -1 } } };
  const route = routeConfiguration('bad/http', [{ cluster: 'broken', weight: 1 }]);
  server.set(namespace, 'bad', [broken, loadAssignment('broken', []), cluster('good', 'HTTP'), loadAssignment('good', []), httpListener('bad/http', badPort, 'HTTP'), route]);
  await until('the refusal of the cluster', () => server.receipt(namespace, 'bad').proxies[0]?.rejections.some((rejection) => rejection.name === 'broken') === true);
  // A proxy that starts now gets ready without what it refuses.
  const late = await startEnvoy({ nodeId: 'pod-2', xdsPort, ...(await fleetCertificate()) });
  await until('the late one is ready', async () => (await statusOf(`http://127.0.0.1:${late.readyPort}/ready`)) === 200);
  expect(server.receipt(namespace, 'hello').proxies.map(({ acknowledgedAtMs }) => acknowledgedAtMs !== undefined)).toEqual([true, true]);
  await late.stop();
  await until('it is gone', () => server.proxies(namespace).length === 1);
  await until('the good one', async () => (await (await fetch(`http://127.0.0.1:${envoy.adminPort}/clusters`)).text()).includes('good::'));
  server.set(namespace, 'bad', []);
});

test('a restart of the server transfers nothing and loses nothing', async () => {
  const load = new KeepAliveLoad(httpPort, 4);
  await until('the bad one has left', () => server.holders(namespace, 'Cluster', 'good').length + server.holders(namespace, 'Listener', 'bad/http').length === 0);
  const { hash } = server.receipt(namespace, 'hello');
  server.close();
  events.length = 0;
  server = await startServer();
  await until('Envoy is back', () => server.proxies(namespace).length === 1);
  server.set(namespace, 'hello', hello({ v1: 7, v2: 3 }));
  server.set(namespace, 'db', database({ v2: 1 }));
  expect(server.receipt(namespace, 'hello').hash).toBe(hash);
  server.ready();
  await acknowledged('hello');
  await acknowledged('db');
  expect(events.filter((event) => event.kind === 'acknowledged' || event.kind === 'rejected')).toEqual([]);
  await load.stop();
  expect(load.failures).toEqual([]);
});

test('a renewed certificate is taken up without a restart, and only the Prometheus page of the admin interface is open', async () => {
  const renewed = await fleetCertificate();
  const { serialNumber } = new X509Certificate(renewed.certificate);
  envoy.replaceCertificate(renewed);
  await until('the new certificate is in use', async () => (await (await fetch(`http://127.0.0.1:${envoy.adminPort}/certs`)).text()).includes(serialNumber.toLowerCase().replace(/^0+/, '')));
  const metrics = await (await fetch(`http://127.0.0.1:${envoy.readyPort}/stats/prometheus`)).text();
  expect(metrics).toContain('envoy_cluster_upstream_rq_total{envoy_cluster_name="hello/v1/http"}');
  expect(await statusOf(`http://127.0.0.1:${envoy.readyPort}/config_dump`)).toBe(404);
  expect((await fetch(`http://127.0.0.1:${envoy.readyPort}/stats/prometheus`, { method: 'POST' })).status).toBe(404);
});

test('drain takes the listeners away and no request on a kept-alive connection is lost', async () => {
  const load = new KeepAliveLoad(httpPort, 20);
  await until('load', () => load.count > 200);
  server.drain(namespace, nodeId);
  await until('a new connection is refused', () => load.refused > 0);
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(server.holders(namespace, 'Listener', 'hello/http')).toEqual([]);
  expect(server.proxies(namespace)).toMatchObject([{ nodeId, draining: true }]);
});

async function acknowledged(owner: string): Promise<void> {
  const isAcknowledged = (): boolean => server.receipt(namespace, owner).proxies[0]?.acknowledgedAtMs !== undefined;
  if (isAcknowledged()) return;
  const deadlineMs = performance.now() + 15_000;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ACK for ${owner}: ${JSON.stringify(server.receipt(namespace, owner))}\n${envoy.log().slice(-2000)}`)), deadlineMs - performance.now());
    server.onReceipt((_namespace, changed) => {
      if (changed !== owner || !isAcknowledged()) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 15_000;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`not in time: ${what}\n${envoy?.log().slice(-2000)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function statusOf(url: string): Promise<number> {
  try {
    return (await fetch(url)).status;
  } catch {
    return 0;
  }
}

/** How many of `count` TCP connections each version answered. */
async function connections(count: number): Promise<Record<string, number>> {
  const answers: Record<string, number> = {};
  for (let index = 0; index < count; index += 1) {
    const socket = connect(tcpPort, '127.0.0.1');
    let answer = '';
    for await (const chunk of socket) answer += String(chunk);
    answers[answer] = (answers[answer] ?? 0) + 1;
  }
  return answers;
}

function found<T>(map: ReadonlyMap<string, T>, key: string): T {
  const value = map.get(key);
  if (value === undefined) throw new Error(`no ${key}`);
  return value;
}
