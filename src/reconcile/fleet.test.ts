import { expect, test } from '@jest/globals';
import { FakeCluster } from '../../test/fake-cluster.ts';
import { microservice, settings } from '../../test/observed-world.ts';
import { type FleetObserved, type FleetPorts, reconcileFleet } from './fleet.ts';

class FakeFleet implements FleetPorts {
  readonly cluster = new FakeCluster(microservice({ image: 'x' }));
  readonly certificates: string[] = [];
  serviceCount = 1;
  idleSinceMs: number | undefined;
  failRemoval = Number.POSITIVE_INFINITY;
  hasCertificate = false;
  problem: Parameters<FleetPorts['report']>[1];

  observe(namespace: string): FleetObserved {
    const children = this.cluster.objects().filter((object) => object.metadata.labels?.['microservice-operator.io/component'] === 'fleet');
    return { namespace, children, serviceCount: this.serviceCount, idleSinceMs: this.idleSinceMs };
  }
  get: FleetPorts['get'] = (manifest) => this.cluster.get(manifest);
  apply: FleetPorts['apply'] = (manifest, options) => this.cluster.apply(manifest, options);
  report: FleetPorts['report'] = (_namespace, problem) => void (this.problem = problem);
  refusal: FleetPorts['refusal'] = (error) => this.cluster.refusal(error);
  nowMs = (): number => this.cluster.nowMs();
  bootstrap = (): string => '{}';

  async remove(object: Parameters<FleetPorts['remove']>[0]): Promise<void> {
    this.failRemoval -= 1;
    if (this.failRemoval < 0) throw new Error('the connection was lost');
    await this.cluster.remove(object);
  }
  async ensureCertificate(): Promise<{ readonly dueInMs: number }> {
    this.hasCertificate = true;
    return { dueInMs: 7_200_000 };
  }
  async removeCertificate(): Promise<void> {
    this.failRemoval -= 1;
    if (this.failRemoval < 0) throw new Error('the connection was lost');
    this.hasCertificate = false;
  }
}

const pass = (fleet: FakeFleet) => reconcileFleet('shop', fleet, settings);

test('makes the fleet, its certificate first, and then writes nothing until the certificate is due', async () => {
  const fleet = new FakeFleet();
  expect(await pass(fleet)).toEqual({ kind: 'waiting', afterMs: 7_200_000 });
  expect(fleet.hasCertificate).toBe(true);
  expect(fleet.cluster.objects().map(({ kind }) => kind)).toEqual(['ServiceAccount', 'Service', 'Deployment', 'PodDisruptionBudget']);
  const writes = fleet.cluster.writes.length;
  await pass(fleet);
  expect(fleet.cluster.writes).toHaveLength(writes);
});

test('repairs what was edited or deleted', async () => {
  const fleet = new FakeFleet();
  await pass(fleet);
  const before = fleet.cluster.dump();
  fleet.cluster.drop('Service/microservice-fleet');
  fleet.cluster.edit({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'microservice-fleet' }, spec: { replicas: 0 } });
  await pass(fleet);
  expect(fleet.cluster.dump()).toEqual(before);
});

test('touches nothing where the name belongs to somebody else, and says so', async () => {
  const fleet = new FakeFleet();
  fleet.cluster.edit({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'microservice-fleet', labels: { app: 'mine' } } });
  expect(await pass(fleet)).toMatchObject({ kind: expect.stringMatching(/stalled|waiting/) });
  expect(fleet.cluster.writes).toEqual([]);
  expect(fleet.hasCertificate).toBe(false);
  expect(fleet.problem).toMatchObject({ reason: 'NameConflict', message: expect.stringContaining('Service microservice-fleet') });
  fleet.cluster.drop('Service/microservice-fleet');
  await pass(fleet);
  expect(fleet.problem).toBeUndefined();
});

test('tells the refusal of the API server, and tries again', async () => {
  const fleet = new FakeFleet();
  fleet.cluster.refuses = (manifest) => (manifest.kind === 'Deployment' ? 'deployments are over quota' : undefined);
  expect(await pass(fleet)).toMatchObject({ kind: 'waiting' });
  expect(fleet.problem?.message).toContain('over quota');
});

test('tells when the pods are refused, and when they are not any more', async () => {
  const fleet = new FakeFleet();
  await pass(fleet);
  expect(fleet.problem).toBeUndefined();
  const says = (status: 'True' | 'False') =>
    fleet.cluster.edit({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'microservice-fleet' }, status: { conditions: [{ type: 'ReplicaFailure', status, reason: 'FailedCreate', message: 'exceeded quota: small' }] } });
  says('True');
  await pass(fleet);
  expect(fleet.problem).toEqual({ reason: 'PodsRefused', message: 'exceeded quota: small' });
  says('False');
  await pass(fleet);
  expect(fleet.problem).toBeUndefined();
});

test('stays until its last Service has been gone for a while, then goes altogether', async () => {
  const fleet = new FakeFleet();
  await pass(fleet);
  fleet.serviceCount = 0;
  fleet.idleSinceMs = fleet.cluster.now;
  const outcome = await pass(fleet);
  expect(outcome).toMatchObject({ kind: 'waiting' });
  expect(fleet.cluster.objects()).toHaveLength(4);
  fleet.cluster.now += outcome.kind === 'waiting' ? outcome.afterMs : 0;
  expect(await pass(fleet)).toEqual({ kind: 'settled' });
  expect(fleet.cluster.objects()).toEqual([]);
  expect(fleet.hasCertificate).toBe(false);
});

test.each([0, 1, 2, 3, 4])('retiring converges after a crash at its removal %d, with nothing left behind', async (failRemoval) => {
  const fleet = new FakeFleet();
  await pass(fleet);
  fleet.serviceCount = 0;
  fleet.idleSinceMs = fleet.cluster.now - 3_600_000;
  fleet.failRemoval = failRemoval;
  await expect(pass(fleet)).rejects.toThrow('connection was lost');
  fleet.failRemoval = Number.POSITIVE_INFINITY;
  expect(await pass(fleet)).toEqual({ kind: 'settled' });
  expect(fleet.cluster.objects()).toEqual([]);
  expect(fleet.hasCertificate).toBe(false);
});

test('an unused namespace has no fleet, and stale caches are waited for', async () => {
  const fleet = new FakeFleet();
  fleet.serviceCount = 0;
  expect(await pass(fleet)).toEqual({ kind: 'settled' });
  expect(await reconcileFleet('shop', { ...withPorts(fleet), observe: () => 'stale' }, settings)).toEqual({ kind: 'waiting', afterMs: 200 });
  expect(await reconcileFleet('shop', { ...withPorts(fleet), observe: () => undefined }, settings)).toEqual({ kind: 'settled' });
  expect(fleet.cluster.writes).toEqual([]);
});

const withPorts = (fleet: FakeFleet): FleetPorts => ({
  observe: (namespace) => fleet.observe(namespace),
  get: fleet.get,
  apply: fleet.apply,
  remove: (object) => fleet.remove(object),
  report: fleet.report,
  refusal: fleet.refusal,
  ensureCertificate: () => fleet.ensureCertificate(),
  removeCertificate: () => fleet.removeCertificate(),
  bootstrap: fleet.bootstrap,
  nowMs: fleet.nowMs,
});
