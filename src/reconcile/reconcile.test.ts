import { expect, test } from '@jest/globals';
import type { MicroserviceSpec } from '../api/microservice.ts';
import type { Deployment, Service } from '../desired/observed.ts';
import { FakeCluster } from '../../test/fake-cluster.ts';
import { microservice, settings, trafficObserved } from '../../test/observed-world.ts';
import { reconcile } from './reconcile.ts';

const pass = (fake: FakeCluster) => reconcile('shop', 'hello', fake, settings);

/** Passes until one writes nothing, as the watch events of our own writes would have it. */
async function settle(fake: FakeCluster): Promise<void> {
  for (let passes = 0; passes < 10; passes += 1) {
    const before = fake.writes.length;
    await pass(fake);
    fake.rollOut();
    if (fake.writes.length === before && passes > 0) return;
  }
  throw new Error(`still writing after 10 passes: ${JSON.stringify(fake.writes.slice(-5))}`);
}

const listening = trafficObserved({ listenerPorts: new Map([['http', 12_345]]), isListening: true, isAcknowledged: true, readyProxies: 2, applied: new Map([['main', 1]]) });

function cluster(spec: MicroserviceSpec = { bundled: 'hello-http' }): FakeCluster {
  const fake = new FakeCluster(microservice(spec));
  fake.traffic = listening;
  return fake;
}

const ids = (fake: FakeCluster): readonly string[] => fake.objects().map((object) => `${object.kind}/${object.metadata.name}`).toSorted();

const conditionOf = (fake: FakeCluster, type: string) => fake.microservice?.status?.conditions?.find((condition) => condition.type === type);

function change(fake: FakeCluster, spec: MicroserviceSpec): void {
  if (!fake.microservice) throw new Error('no Microservice');
  const { metadata } = fake.microservice;
  fake.microservice = { ...fake.microservice, metadata: { ...metadata, generation: (metadata.generation ?? 0) + 1 }, spec };
}

test('creates every child, then writes nothing more', async () => {
  const fake = cluster({ bundled: 'hello-http', replicas: 3 });
  await settle(fake);
  expect(ids(fake)).toEqual(['Deployment/hello--main', 'PodDisruptionBudget/hello--main', 'Service/hello', 'Service/hello--main', 'ServiceAccount/hello']);
  expect(fake.find<Deployment>('Deployment/hello--main')?.spec.replicas).toBe(3);
  expect(conditionOf(fake, 'Ready')).toMatchObject({ status: 'True', reason: 'AllReady' });
  const writes = fake.writes.length;
  fake.now += 3_600_000;
  expect(await pass(fake)).toEqual({ kind: 'settled' });
  expect(fake.writes).toHaveLength(writes);
});

test('the status of a pass speaks of the children as the API server returned them', async () => {
  const fake = cluster();
  await pass(fake);
  expect(conditionOf(fake, 'Ready')?.message).toBe('main has a change that the Deployment controller has not seen yet.');
});

test('waits for the proxies before it offers the Service', async () => {
  const fake = cluster();
  fake.traffic = trafficObserved();
  await settle(fake);
  // Their acknowledgement is an event.
  expect(await pass(fake)).toEqual({ kind: 'settled' });
  expect(ids(fake)).not.toContain('Service/hello');
  fake.traffic = listening;
  await settle(fake);
  expect(fake.find<Service>('Service/hello')?.spec.ports).toMatchObject([{ port: 80, targetPort: 12_345 }]);
});

test.each(['Deployment/hello--main', 'Service/hello', 'Service/hello--main', 'ServiceAccount/hello', 'PodDisruptionBudget/hello--main'])('makes a deleted %s again', async (child) => {
  const fake = cluster({ bundled: 'hello-http', replicas: 2 });
  await settle(fake);
  const before = fake.dump();
  fake.drop(child);
  await settle(fake);
  expect(fake.dump()).toEqual(before);
});

test.each([
  ['the image', { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'hello--main' }, spec: { template: { spec: { containers: [{ name: 'main', image: 'evil' }] } } } }],
  ['the replicas', { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'hello--main' }, spec: { replicas: 9 } }],
  ['a label of the selector', { apiVersion: 'v1', kind: 'Service', metadata: { name: 'hello' }, spec: { selector: { app: 'other' } } }],
  ['the target port', { apiVersion: 'v1', kind: 'Service', metadata: { name: 'hello' }, spec: { ports: [{ name: 'http', port: 80, targetPort: 1 }] } }],
  ['the owner', { apiVersion: 'v1', kind: 'Service', metadata: { name: 'hello--main', labels: { 'microservice-operator.io/version': 'other' } } }],
])('repairs an edit of %s', async (_what, edit) => {
  const fake = cluster({ bundled: 'hello-http', replicas: 2 });
  await settle(fake);
  const before = fake.dump();
  fake.edit(edit);
  expect(fake.dump()).not.toEqual(before);
  await settle(fake);
  expect(fake.dump()).toEqual(before);
});

test('leaves alone what others add: a label, an injected container, a default', async () => {
  const fake = cluster();
  await settle(fake);
  const writes = fake.writes.length;
  fake.edit({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'hello--main', labels: { team: 'sales' } }, spec: { template: { spec: { dnsPolicy: 'ClusterFirst', containers: [{ name: 'sidecar', image: 'mesh' }] } } } });
  fake.rollOut();
  await pass(fake);
  expect(fake.writes).toHaveLength(writes);
});

test('takes back a field that the spec no longer has', async () => {
  const fake = cluster({ image: 'registry.example.com/shop:1', ports: [{ name: 'http', port: 80 }], serviceAnnotations: { 'example.com/dns': 'shop' } });
  await settle(fake);
  change(fake, { image: 'registry.example.com/shop:1', ports: [{ name: 'http', port: 80 }] });
  await settle(fake);
  expect(Object.keys(fake.find('Service/hello')?.metadata.annotations ?? {})).toEqual(['microservice-operator.io/applied-hash']);
});

test.each([
  // Seen in the caches, since somebody gave it our label; or only at the API server.
  ['with our label', { 'microservice-operator.io/microservice': 'hello' }],
  ['without any label', {}],
])('does not write at all where a name belongs to a stranger, %s', async (_which, labels) => {
  const fake = cluster();
  fake.edit({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'hello', labels } });
  const outcome = await pass(fake);
  // That the stranger's object goes is no event for us.
  expect(outcome).toEqual({ kind: 'waiting', afterMs: 10_000 });
  expect(fake.writes).toEqual([{ verb: 'status', object: 'Microservice' }]);
  expect(conditionOf(fake, 'Stalled')).toMatchObject({ status: 'True', reason: 'NameConflict', message: expect.stringContaining('Service/hello') });
  expect(conditionOf(fake, 'Ready')).toMatchObject({ status: 'False' });
  expect(conditionOf(fake, 'Reconciling')).toBeUndefined();
  fake.drop('Service/hello');
  await settle(fake);
  expect(conditionOf(fake, 'Stalled')).toBeUndefined();
  expect(conditionOf(fake, 'Ready')).toMatchObject({ status: 'True' });
});

test.each([
  ['with our label', { 'microservice-operator.io/microservice': 'hello' }],
  ['without any label', {}],
])('finds a stranger behind the name of the Service, %s, before it writes anything, though the Service would come last', async (_which, labels) => {
  const fake = cluster();
  fake.traffic = trafficObserved();
  fake.edit({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'hello', labels } });
  expect(await pass(fake)).toEqual({ kind: 'waiting', afterMs: 10_000 });
  expect(fake.writes).toEqual([{ verb: 'status', object: 'Microservice' }]);
  expect(conditionOf(fake, 'Stalled')).toMatchObject({ reason: 'NameConflict', message: expect.stringContaining('Service/hello') });
  fake.drop('Service/hello');
  await settle(fake);
  expect(ids(fake)).toContain('Deployment/hello--main');
  expect(ids(fake)).not.toContain('Service/hello');
});

test('a reserved name that is our own Service, or that of a deleted namesake, is no conflict', async () => {
  const fake = cluster();
  await settle(fake);
  fake.traffic = trafficObserved();
  fake.edit({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'hello', labels: { 'microservice-operator.io/microservice': 'elsewhere' } } });
  await settle(fake);
  expect(conditionOf(fake, 'Stalled')).toBeUndefined();
  fake.microservice = microservice({ bundled: 'hello-http' }, { uid: 'uid-of-the-next-hello' });
  await pass(fake);
  expect(conditionOf(fake, 'Stalled')).toBeUndefined();
  expect(conditionOf(fake, 'Ready')?.message).toContain('Service/hello of a deleted Microservice to be garbage collected');
});

test('waits until the children of a deleted namesake are gone, rather than take them over', async () => {
  const fake = cluster();
  await settle(fake);
  const uid = 'uid-of-the-next-hello';
  fake.microservice = microservice({ bundled: 'hello-http' }, { uid });
  const writes = fake.writes.length;
  expect(await pass(fake)).toEqual({ kind: 'waiting', afterMs: 1_000 });
  expect(fake.writes.slice(writes).map(({ verb }) => verb)).toEqual(['status']);
  expect(conditionOf(fake, 'Ready')).toMatchObject({ reason: 'Waiting', message: expect.stringContaining('garbage collected') });
  for (const child of ids(fake)) fake.drop(child);
  await settle(fake);
  expect(fake.objects().map(({ metadata }) => metadata.ownerReferences?.[0]?.uid)).toEqual([uid, uid, uid, uid]);
});

test('takes a child whose labels were edited away for what it is, and does not lower the replicas of the autoscaler', async () => {
  const fake = cluster({ bundled: 'hello-http', autoscaling: { minReplicas: 2, maxReplicas: 9 } });
  await settle(fake);
  fake.edit({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'hello--main', labels: { 'microservice-operator.io/microservice': 'elsewhere' } }, spec: { replicas: 7 } });
  await settle(fake);
  expect(fake.find<Deployment>('Deployment/hello--main')).toMatchObject({ metadata: { labels: { 'microservice-operator.io/microservice': 'hello' } }, spec: { replicas: 7 } });
});

test('the autoscaler takes over without a dip, and hands back', async () => {
  const fake = cluster({ bundled: 'hello-http', replicas: 5 });
  await settle(fake);
  const replicas = () => fake.find<Deployment>('Deployment/hello--main')?.spec.replicas;
  change(fake, { bundled: 'hello-http', replicas: 5, autoscaling: { minReplicas: 2, maxReplicas: 9 } });
  await settle(fake);
  expect(replicas()).toBe(5);
  fake.edit({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'hello--main' }, spec: { replicas: 8 } });
  await settle(fake);
  expect(replicas()).toBe(8);
  change(fake, { bundled: 'hello-http', replicas: 5 });
  await settle(fake);
  expect(replicas()).toBe(5);
  expect(ids(fake)).not.toContain('HorizontalPodAutoscaler/hello--main');
});

const twoVersions: MicroserviceSpec = { versions: [{ name: 'v1', bundled: 'hello-http', weight: 1 }, { name: 'v2', bundled: 'hello-http', weight: 1 }] };

test('a version that is removed drains before it is deleted', async () => {
  const fake = cluster(twoVersions);
  await settle(fake);
  change(fake, { versions: [{ name: 'v1', bundled: 'hello-http', weight: 1 }] });
  await settle(fake);
  expect(ids(fake)).toContain('Deployment/hello--v2');
  expect(conditionOf(fake, 'Ready')).toMatchObject({ status: 'False', reason: 'Waiting', message: 'Waiting for version v2 to drain.' });
  expect(await pass(fake)).toEqual({ kind: 'waiting', afterMs: 1_000 });
  fake.traffic = { ...listening, drained: new Set(['v2']) };
  await settle(fake);
  expect(ids(fake).filter((child) => child.includes('v2'))).toEqual([]);
  expect(ids(fake)).toContain('Deployment/hello--v1');
});

test('a removed version whose Service somebody has deleted gets no requests, so there is nothing to wait for', async () => {
  const fake = cluster(twoVersions);
  await settle(fake);
  change(fake, { versions: [{ name: 'v1', bundled: 'hello-http', weight: 1 }] });
  fake.drop('Service/hello--v2');
  fake.traffic = { ...listening, applied: new Map([['v1', 1]]) };
  await settle(fake);
  expect(ids(fake).filter((child) => child.includes('v2'))).toEqual([]);
  expect(conditionOf(fake, 'Ready')).toMatchObject({ status: 'True' });
});

test('a worker that gets a port and loses a version at once: the version never had a Service, and goes', async () => {
  const fake = cluster({ versions: [{ name: 'v1', image: 'a' }, { name: 'v2', image: 'b' }] });
  await settle(fake);
  change(fake, { versions: [{ name: 'v1', image: 'a' }], ports: [{ name: 'http', port: 80 }] });
  await settle(fake);
  expect(ids(fake).filter((child) => child.includes('v2'))).toEqual([]);
});

test('paused: a change waits and nothing is repaired, but the status says so', async () => {
  const fake = cluster();
  await settle(fake);
  change(fake, { bundled: 'hello-grpc', paused: true });
  fake.drop('Service/hello');
  const writes = fake.writes.length;
  expect(await pass(fake)).toEqual({ kind: 'settled' });
  expect(fake.writes.slice(writes)).toEqual([{ verb: 'status', object: 'Microservice' }]);
  expect(conditionOf(fake, 'Ready')).toMatchObject({ status: 'Unknown', reason: 'Paused' });
  expect(conditionOf(fake, 'Reconciling')).toBeUndefined();
});

test('a refused child stalls the Microservice, says why, and the others keep what they had', async () => {
  const fake = cluster();
  await settle(fake);
  const before = fake.find('Deployment/hello--main');
  fake.refuses = (object) => (object.kind === 'Deployment' ? 'Deployment hello--main: spec.template.spec.containers[0].image: Required value' : undefined);
  change(fake, { bundled: 'hello-http', podLabels: { team: 'sales' } });
  expect(await pass(fake)).toEqual({ kind: 'stalled', reason: 'Invalid' });
  expect(fake.find('Deployment/hello--main')).toEqual(before);
  expect(conditionOf(fake, 'Stalled')).toMatchObject({ reason: 'Invalid', message: expect.stringContaining('image') });
  expect(conditionOf(fake, 'Accepted')).toMatchObject({ status: 'False' });
  const writes = fake.writes.length;
  await pass(fake);
  expect(fake.writes.slice(writes).map(({ verb }) => verb)).toEqual(['apply']);
  fake.refuses = () => undefined;
  await settle(fake);
  expect(conditionOf(fake, 'Ready')).toMatchObject({ status: 'True' });
});

test('an error that is no refusal ends the pass, to be retried', async () => {
  const fake = cluster();
  fake.failWrite = { n: 1, lost: 'request' };
  await expect(pass(fake)).rejects.toThrow('connection was lost');
});

test.each([
  ['gone', (fake: FakeCluster) => { fake.microservice = undefined; }, { kind: 'settled' }],
  ['being deleted', (fake: FakeCluster) => { fake.microservice = microservice({ bundled: 'hello-http' }, { deletionTimestamp: '2026-03-01T10:00:00Z' }); }, { kind: 'settled' }],
  ['not yet seen as last written', (fake: FakeCluster) => { fake.isStale = true; }, { kind: 'waiting', afterMs: 200 }],
])('writes nothing for a Microservice that is %s', async (_what, arrange, outcome) => {
  const fake = cluster();
  arrange(fake);
  expect(await pass(fake)).toEqual(outcome);
  expect(fake.writes).toEqual([]);
});

test('says what it did in Events, once', async () => {
  const fake = cluster();
  await settle(fake);
  expect(fake.events.filter((event) => event.reason === 'Created')).toHaveLength(4);
  expect(fake.events.filter((event) => event.reason === 'Ready')).toHaveLength(1);
  const events = fake.events.length;
  await pass(fake);
  expect(fake.events).toHaveLength(events);
  fake.drop('Service/hello');
  await settle(fake);
  expect(fake.events.slice(events).map((event) => event.message)).toContain('Created Service/hello');
});

/** Crash anywhere, converge anyway: each write of each story fails once, before or after it took effect. */
const stories: readonly (readonly [string, MicroserviceSpec, MicroserviceSpec, ReadonlySet<string>])[] = [
  ['creation', { bundled: 'hello-http', paused: true }, { bundled: 'hello-http', replicas: 3 }, new Set()],
  ['two versions', { bundled: 'hello-http', paused: true }, { ...twoVersions, replicas: 2 }, new Set()],
  ['autoscaling from the start', { bundled: 'hello-http', paused: true }, { bundled: 'hello-http', autoscaling: { minReplicas: 3, maxReplicas: 9 } }, new Set()],
  ['storage', { bundled: 'register', paused: true }, { bundled: 'register', storage: { mountPath: '/data', size: '1Gi' } }, new Set()],
  ['another image and fewer replicas', { image: 'registry.example.com/a:1', replicas: 4, ports: [{ name: 'http', port: 80 }] }, { image: 'registry.example.com/a:2', ports: [{ name: 'http', port: 80 }] }, new Set()],
  ['autoscaling switched on', { bundled: 'hello-http', replicas: 4 }, { bundled: 'hello-http', replicas: 4, autoscaling: { minReplicas: 2, maxReplicas: 9 } }, new Set()],
  ['autoscaling switched off', { bundled: 'hello-http', autoscaling: { minReplicas: 3, maxReplicas: 9 } }, { bundled: 'hello-http', replicas: 1 }, new Set()],
  ['a version removed', twoVersions, { versions: [{ name: 'v1', bundled: 'hello-http' }] }, new Set(['v2'])],
];

async function changed(from: MicroserviceSpec, to: MicroserviceSpec, drained: ReadonlySet<string>): Promise<FakeCluster> {
  const fake = cluster(from);
  await settle(fake);
  change(fake, to);
  fake.traffic = { ...listening, drained };
  fake.writes.length = 0;
  return fake;
}

test.each(stories)('crash sweep: %s', async (_name, from, to, drained) => {
  const calm = await changed(from, to, drained);
  await settle(calm);
  expect(calm.writes.length).toBeGreaterThan(1);
  for (let n = 1; n <= calm.writes.length; n += 1) {
    for (const lost of ['request', 'answer'] as const) {
      const rough = await changed(from, to, drained);
      rough.failWrite = { n, lost };
      await expect(settle(rough)).rejects.toThrow('connection was lost');
      rough.failWrite = undefined;
      await settle(rough);
      expect({ n, lost, end: rough.dump() }).toEqual({ n, lost, end: calm.dump() });
    }
  }
});
