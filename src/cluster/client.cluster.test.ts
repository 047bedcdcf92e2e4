import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import { startLab, type Lab } from '../../lab/lab.ts';
import { eventually } from '../engine/eventually.ts';
import { Client } from './client.ts';
import type { CredentialSource } from './connection.ts';
import { EventRecorder } from './event-recorder.ts';
import { Informer, waitForSync } from './informer.ts';
import { kubeConfig } from './kube-config.ts';
import { LeaderElection, type Lease } from './lease.ts';
import { resourceKinds, type ResourceKind } from './resource-kind.ts';
import type { Change } from './store.ts';
import { Transport } from './transport.ts';

let lab: Lab;
let transport: Transport;
let client: Client;
const stop = new AbortController();
const running: Promise<void>[] = [];
const transports: Transport[] = [];

beforeAll(async () => {
  lab = await startLab({ profile: 'api' });
  transport = connect(kubeConfig({ path: lab.kubeconfigPath }));
  client = new Client({ transport });
}, 60_000);

afterAll(async () => {
  stop.abort();
  await Promise.all(running);
  await Promise.all(transports.map((open) => open.close()));
  await lab.stop();
});

const connect = (credentials: CredentialSource): Transport => {
  const open = new Transport({ credentials, version: 'test' });
  transports.push(open);
  return open;
};

interface Anything extends KubernetesObject {
  readonly [field: string]: unknown;
}

interface Watched {
  readonly informer: Informer<Anything>;
  readonly changes: Change<Anything>[];
  readonly reads: number[];
}

const watch = (kind: ResourceKind, more: { readonly namespace?: string; readonly labelSelector?: string; readonly transport?: Transport } = {}): Watched => {
  const changes: Change<Anything>[] = [];
  const reads: number[] = [];
  const observer = { listed: (objects: number) => void reads.push(objects), watched: () => {}, event: () => {}, failed: () => {} };
  const informer = new Informer<Anything>({ transport, kind, observer, freeze: true, times: { slowMs: 100, backoffMs: 50 }, ...more });
  informer.onChange((change) => changes.push(change));
  running.push(informer.start(stop.signal));
  return { informer, changes, reads };
};

const namespace = async (name: string): Promise<string> => {
  await client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  return name;
};

const configMap = (inNamespace: string, name: string, data: Record<string, string>, labels?: Record<string, string>): Anything => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace: inNamespace, name, ...(labels ? { labels } : {}) },
  data,
});
const ours = { fieldManager: 'ours', force: true };

test('W1, W2: apply creates, changes, and removes what is no longer sent; others keep their fields', async () => {
  const where = await namespace('apply');
  const created = await client.apply(configMap(where, 'a', { one: '1', two: '2' }), ours);
  expect(created).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap', data: { one: '1', two: '2' } });
  await client.apply(configMap(where, 'a', { theirs: 'x' }), { fieldManager: 'theirs', force: false });
  expect(await client.apply(configMap(where, 'a', { one: '1' }), ours)).toMatchObject({ metadata: { uid: created.metadata.uid } });
  expect(await client.get<Anything>(resourceKinds.configMap, { namespace: where, name: 'a' })).toMatchObject({ data: { one: '1', theirs: 'x' } });
  const twice = [await client.apply(configMap(where, 'a', { one: '1' }), ours), await client.apply(configMap(where, 'a', { one: '1' }), ours)];
  expect(twice[0]?.metadata.resourceVersion).toBe(twice[1]?.metadata.resourceVersion);
});

test('W1: without force a field of somebody else is a conflict that names it', async () => {
  const where = await namespace('conflict');
  await client.apply(configMap(where, 'a', { one: 'theirs' }), { fieldManager: 'theirs', force: false });
  await expect(client.apply(configMap(where, 'a', { one: 'ours' }), { ...ours, force: false })).rejects.toMatchObject({ code: 409, reason: 'Conflict', causes: [{ reason: 'FieldManagerConflict', field: '.data.one' }] });
});

test('a uid in the manifest refuses a namesake, and a dry run stores nothing', async () => {
  const where = await namespace('uid');
  const { metadata } = await client.apply(configMap(where, 'a', {}), ours);
  const other = { ...configMap(where, 'a', { one: '1' }), metadata: { namespace: where, name: 'a', uid: '00000000-0000-4000-8000-000000000000' } };
  await expect(client.apply(other, ours)).rejects.toMatchObject({ code: 409 });
  await client.apply(configMap(where, 'dry', {}), { ...ours, dryRun: true });
  expect(await client.get(resourceKinds.configMap, { namespace: where, name: 'dry' })).toBeUndefined();
  await expect(client.remove({ ...other, kind: 'ConfigMap' })).rejects.toMatchObject({ code: 409, reason: 'Conflict' });
  const mine = { apiVersion: 'v1', kind: 'ConfigMap', metadata };
  await client.remove(mine);
  await client.remove(mine);
  expect(await client.get(resourceKinds.configMap, { namespace: where, name: 'a' })).toBeUndefined();
});

test('bad input is refused with its field', async () => {
  const where = await namespace('invalid');
  const service = { apiVersion: 'v1', kind: 'Service', metadata: { namespace: where, name: 'a' }, spec: { ports: [{ port: 70_000 }] } };
  await expect(client.apply(service, ours)).rejects.toMatchObject({ code: 422, reason: 'Invalid', causes: expect.arrayContaining([expect.objectContaining({ field: 'spec.ports[0].port' })]) });
});

test('R1, S1: an informer reads everything without a list, and follows', async () => {
  const where = await namespace('informer');
  await Promise.all(Array.from({ length: 300 }, (_, index) => client.create(configMap(where, `c${index}`, { at: `${index}` }, index % 2 ? { half: 'odd' } : undefined))));
  const { informer, changes, reads } = watch(resourceKinds.configMap, { namespace: where, labelSelector: 'half=odd' });
  await waitForSync([informer]);
  expect([informer.size, reads]).toEqual([150, [150]]);
  const written = await client.apply(configMap(where, 'c1', { at: 'changed' }, { half: 'odd' }), ours);
  await eventually(() => informer.lastResourceVersion === written.metadata.resourceVersion);
  expect(changes.at(-1)).toMatchObject({ type: 'updated', new: { data: { at: 'changed' } }, old: { data: { at: '1' } } });
  expect(informer.get(where, 'c1')?.metadata).not.toHaveProperty('managedFields');
  await client.mergePatch(resourceKinds.configMap, { namespace: where, name: 'c3' }, { metadata: { labels: { half: null } } });
  await client.remove({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: where, name: 'c5', uid: informer.get(where, 'c5')?.metadata.uid ?? '' } });
  await eventually(() => expect(informer.size).toBe(148));
  expect(changes.slice(-2)).toMatchObject([{ type: 'deleted', old: { metadata: { name: 'c3' } } }, { type: 'deleted', old: { metadata: { name: 'c5' } } }]);
}, 60_000);

test('N4: the same over HTTP/2', async () => {
  const multiplexed = new Transport({ credentials: kubeConfig({ path: lab.kubeconfigPath }), version: 'test', allowH2: true });
  transports.push(multiplexed);
  const where = await namespace('multiplexed');
  const { informer } = watch(resourceKinds.configMap, { namespace: where, transport: multiplexed });
  await waitForSync([informer]);
  const other = new Client({ transport: multiplexed });
  await Promise.all(Array.from({ length: 50 }, (_, index) => other.apply(configMap(where, `c${index}`, {}), ours)));
  // The controller-manager adds one of its own.
  await eventually(() => expect(informer.size).toBe(51));
});

test('R3: lists come by pages and hold everything', async () => {
  const where = await namespace('pages');
  await Promise.all(Array.from({ length: 600 }, (_, index) => client.create(configMap(where, `c${index}`, {}))));
  const { items } = await client.list<Anything>(resourceKinds.configMap, { namespace: where });
  expect(new Set(items.map(({ metadata }) => metadata.name)).size).toBe(601);
  expect(items[0]).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' });
}, 60_000);

test('R7: a kind that is installed later is a problem first, then served; W6: its status is a subresource of its own', async () => {
  const { informer } = watch(resourceKinds.microservice);
  await eventually(() => expect(informer.problem).toContain('install its CustomResourceDefinition'), 10_000);
  const crd = readFileSync(new URL('../../crds/microservices.microservice-operator.io.yaml', import.meta.url), 'utf8');
  expect(await lab.kubectl(['apply', '--server-side', '-f', '-'], crd)).toMatchObject({ code: 0 });
  await waitForSync([informer]);
  expect(informer.problem).toBeUndefined();
  const where = await namespace('microservices');
  const { apiVersion, kind, metadata } = await client.apply({ apiVersion: 'microservice-operator.io/v1alpha1', kind: 'Microservice', metadata: { namespace: where, name: 'shop' }, spec: { bundled: 'hello-http' } }, ours);
  const status = { observedGeneration: 1 };
  const stored = await client.applyStatus<Anything>({ apiVersion, kind, metadata, status }, { fieldManager: 'ours-status', force: true });
  expect(stored).toMatchObject({ status, spec: { bundled: 'hello-http' } });
  await eventually(() => expect(informer.get(where, 'shop')).toMatchObject({ status }));
  await expect(client.applyStatus({ apiVersion, kind, metadata, status: { observedGeneration: 2 } }, { fieldManager: 'ours-status', force: true })).rejects.toMatchObject({ code: 409, reason: 'Conflict' });
}, 60_000);

test('a token of a service account: refused in words, and working as soon as RBAC allows', async () => {
  const where = await namespace('tokens');
  await lab.kubectl(['create', 'serviceaccount', 'robot', `--namespace=${where}`]);
  const token = (await lab.kubectl(['create', 'token', 'robot', `--namespace=${where}`])).stdout.trim();
  const asRobot = withToken(token);
  const { informer } = watch(resourceKinds.configMap, { namespace: where, transport: asRobot });
  await eventually(() => expect(informer.problem).toContain('grant get, list and watch'), 10_000);
  expect(informer.problem).toContain('system:serviceaccount:tokens:robot');
  await lab.kubectl(['create', 'rolebinding', 'robot', '--clusterrole=view', `--serviceaccount=${where}:robot`, `--namespace=${where}`]);
  await waitForSync([informer], { limitMs: 20_000 });
  await expect(withToken('wrong').request({ method: 'GET', path: '/api/v1/nodes' })).rejects.toMatchObject({ code: 401, reason: 'Unauthorized' });
}, 60_000);

/** The lab's server without the lab's certificate. */
function withToken(token: string): Transport {
  const credentials = kubeConfig({ path: lab.kubeconfigPath });
  return connect({
    read: async (options) => {
      const { server, tls } = await credentials.read(options);
      return { server, tls: tls.ca === undefined ? {} : { ca: tls.ca }, headers: { Authorization: `Bearer ${token}` } };
    },
  });
}

test('L1, L3, L4: two candidates take turns on a real Lease', async () => {
  const where = await namespace('election');
  const times = { leaseDurationMs: 3_000, renewDeadlineMs: 2_000, retryPeriodMs: 500 };
  const failures: unknown[] = [];
  const observer = { acquired: () => {}, lost: () => {}, failed: (error: unknown) => failures.push(error) };
  const [first, second] = ['a', 'b'].map((identity) => new LeaderElection({ client, namespace: where, name: 'operator', identity, times, observer }));
  await first?.acquire(stop.signal);
  const taking = second?.acquire(stop.signal);
  const renewTime = async (): Promise<string | undefined> => (await client.get<Lease>(resourceKinds.lease, { namespace: where, name: 'operator' }))?.spec?.renewTime;
  const before = await renewTime();
  await eventually(async () => expect(await renewTime()).not.toBe(before));
  expect([first?.mayWrite(), second?.isLeader]).toEqual([true, false]);
  await first?.release();
  await taking;
  expect(await client.get<Lease>(resourceKinds.lease, { namespace: where, name: 'operator' })).toMatchObject({ spec: { holderIdentity: 'b', leaseTransitions: 1, leaseDurationSeconds: 3 } });
  await second?.release();
  expect(failures).toEqual([]);
}, 30_000);

test('E1: events are accepted, counted, and shown by kubectl', async () => {
  const where = await namespace('events');
  const dropped: string[] = [];
  const regarding = await client.create(configMap(where, 'a', {}));
  const recorder = new EventRecorder({ client, controller: 'microservice-operator.io/controller', instance: 'test', onDropped: (why) => dropped.push(why) });
  for (let times = 0; times < 3; times += 1) {
    recorder.record({ regarding, type: 'Warning', reason: 'ImagePullFailed', action: 'Apply', note: 'the image cannot be pulled' });
    await recorder.drain(5_000);
  }
  expect(dropped).toEqual([]);
  expect((await client.list<Anything>(resourceKinds.event, { namespace: where })).items).toMatchObject([{ series: { count: 3 }, reason: 'ImagePullFailed' }]);
  expect((await lab.kubectl(['events', '--for=configmap/a', `--namespace=${where}`])).stdout).toContain('the image cannot be pulled');
});
