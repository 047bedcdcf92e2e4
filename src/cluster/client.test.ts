import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Client, NotLeaderError } from './client.ts';
import { FakeApiServer, type FakeObject } from './fake-api-server.ts';
import { objectPath, resourceKindOf, resourceKinds } from './resource-kind.ts';
import { Transport } from './transport.ts';

let fake: FakeApiServer;
let transport: Transport;
let client: Client;

beforeEach(async () => {
  fake = await FakeApiServer.start();
  transport = new Transport({ credentials: fake.credentials, version: 'test' });
  client = new Client({ transport });
});

afterEach(async () => {
  await transport.close();
  await fake.stop();
});

const kind = resourceKinds.deployment;
const deployment = (name: string, more: Record<string, unknown> = {}): FakeObject => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { namespace: 'ns', name }, ...more });
const path = '/apis/apps/v1/namespaces/ns/deployments';

test('W1: apply is a server-side apply with its manager, and is tried again when the connection breaks', async () => {
  fake.fail({ kind: 'reset' });
  const stored = await client.apply(deployment('a', { spec: { replicas: 1 } }), { fieldManager: 'operator', force: true });
  expect(stored).toMatchObject({ spec: { replicas: 1 }, metadata: { uid: expect.any(String), resourceVersion: expect.any(String) } });
  expect(fake.requests).toHaveLength(2);
  const sent = fake.requests[1];
  expect([sent?.method, sent?.path, sent?.headers['content-type']]).toEqual(['PATCH', `${path}/a`, 'application/apply-patch+yaml']);
  expect(Object.fromEntries(sent?.query ?? [])).toEqual({ fieldManager: 'operator', force: 'true' });
  expect(sent?.body).toEqual(deployment('a', { spec: { replicas: 1 } }));
});

test('a dry run says so', async () => {
  await client.apply(deployment('a'), { fieldManager: 'operator', force: false, dryRun: true });
  expect(Object.fromEntries(fake.requests[0]?.query ?? [])).toEqual({ fieldManager: 'operator', force: 'false', dryRun: 'All' });
});

test('W6: status goes to its subresource, with nothing but identity and status', async () => {
  const stored = fake.put(deployment('a', { spec: { replicas: 1 } }));
  await client.applyStatus({ ...stored, status: { replicas: 3 } }, { fieldManager: 'operator-status', force: true });
  const { apiVersion, kind: kindName, metadata } = stored;
  expect(fake.requests[0]).toMatchObject({ method: 'PATCH', path: `${path}/a/status` });
  expect(fake.requests[0]?.body).toEqual({ apiVersion, kind: kindName, metadata: { namespace: 'ns', name: 'a', resourceVersion: metadata.resourceVersion }, status: { replicas: 3 } });
});

test('W7: only the object with this uid is removed; already gone is success', async () => {
  const first = fake.put(deployment('a'));
  fake.delete(kind, { namespace: 'ns', name: 'a' });
  fake.put(deployment('a'));
  await expect(client.remove(first)).rejects.toMatchObject({ code: 409 });
  await client.remove(fake.stored(kind)[0] ?? first, { propagationPolicy: 'Foreground' });
  expect(fake.requests.at(-1)?.body).toMatchObject({ kind: 'DeleteOptions', propagationPolicy: 'Foreground', preconditions: { uid: expect.any(String) } });
  await client.remove(first);
  expect(fake.stored(kind)).toEqual([]);
  await expect(client.remove(deployment('a'))).rejects.toThrow('cannot remove Deployment a: its uid is not known');
});

test('get, list, create, update and merge patch', async () => {
  expect(await client.get(kind, { namespace: 'ns', name: 'a' })).toBeUndefined();
  const created = await client.create(deployment('a'));
  await expect(client.create(deployment('a'))).rejects.toMatchObject({ code: 409, reason: 'AlreadyExists' });
  await client.update({ ...created, spec: 1 });
  await expect(client.update({ ...created, spec: 2 })).rejects.toMatchObject({ code: 409, reason: 'Conflict' });
  await client.mergePatch(kind, { namespace: 'ns', name: 'a' }, { note: 'merged' });
  expect(await client.get(kind, { namespace: 'ns', name: 'a' })).toMatchObject({ spec: 1, note: 'merged' });
  for (let index = 0; index < 600; index += 1) fake.put(deployment(`d${index}`));
  const { items, resourceVersion } = await client.list<FakeObject>(kind, { namespace: 'ns' });
  expect([items.length, resourceVersion, items[0]?.kind]).toEqual([601, fake.version, 'Deployment']);
});

test('L5: without a fresh lease nothing is written, and reading goes on', async () => {
  let leads = true;
  const guarded = new Client({ transport, mayWrite: () => leads });
  await guarded.apply(deployment('a'), { fieldManager: 'operator', force: true });
  leads = false;
  const writes = [
    guarded.apply(deployment('a'), { fieldManager: 'operator', force: true }),
    guarded.applyStatus(deployment('a'), { fieldManager: 'operator', force: true }),
    guarded.create(deployment('b')),
    guarded.update(deployment('a')),
    guarded.mergePatch(kind, { namespace: 'ns', name: 'a' }, {}),
    guarded.remove({ ...deployment('a'), metadata: { namespace: 'ns', name: 'a', uid: 'x' } }),
  ];
  for (const result of await Promise.allSettled(writes)) expect(result).toMatchObject({ status: 'rejected', reason: expect.any(NotLeaderError) });
  expect(await guarded.get(kind, { namespace: 'ns', name: 'a' })).toBeDefined();
  expect(fake.requests.map(({ method }) => method)).toEqual(['PATCH', 'GET']);
});

test('paths: cluster-wide, core and named groups; never a whole collection by mistake', () => {
  expect(objectPath(resourceKinds.namespace, { name: 'a' })).toBe('/api/v1/namespaces/a');
  expect(objectPath(resourceKinds.pod, { namespace: 'n', name: 'a b' })).toBe('/api/v1/namespaces/n/pods/a%20b');
  expect(() => objectPath(kind, { namespace: 'n', name: '' })).toThrow('Deployment: metadata.name is missing');
  expect(() => objectPath(kind, { name: 'a' })).toThrow('Deployment a: metadata.namespace is missing');
  expect(() => resourceKindOf({ apiVersion: 'apps/v1beta1', kind: 'Deployment' })).toThrow('apps/v1beta1 Deployment is not in the table of kinds');
});
