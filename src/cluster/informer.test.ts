import { expect, test } from '@jest/globals';
import { ManualClock } from '../engine/manual-clock.ts';
import type { FakeObject } from './fake-api-server.ts';
import { Informer, waitForSync, withoutManagedFields, type InformerOptions } from './informer.ts';
import { resourceKinds } from './resource-kind.ts';
import type { Change } from './store.ts';
import type { Transport } from './transport.ts';

/** A transport whose one watch sends what the test pushes. */
class PushedWatch implements Pick<Transport, 'request' | 'watch'> {
  #push: (chunk: Buffer) => void = () => {};

  async request<T>(): Promise<T> {
    throw new Error('nothing is listed here');
  }

  async watch({ signal }: { readonly signal: AbortSignal }): Promise<AsyncIterable<Buffer>> {
    const stream = new ReadableStream<Buffer>({
      start: (controller) => {
        this.#push = (chunk) => controller.enqueue(chunk);
        signal.addEventListener('abort', () => controller.error(signal.reason), { once: true });
      },
    });
    return stream;
  }

  /** All in one chunk; resolves when they have been handled. */
  async send(...events: readonly { readonly type: string; readonly object: unknown }[]): Promise<void> {
    this.#push(Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join('')));
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

const pod = (name: string, resourceVersion: string, metadata: Record<string, unknown> = {}): FakeObject => ({ apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'ns', name, uid: name, resourceVersion, ...metadata } });
const end = { type: 'BOOKMARK', object: { apiVersion: 'v1', kind: 'Pod', metadata: { resourceVersion: '50', annotations: { 'k8s.io/initial-events-end': 'true' } } } };
const added = (object: FakeObject): { type: string; object: FakeObject } => ({ type: 'ADDED', object });

const withInformer = async (more: Partial<InformerOptions<FakeObject>>, run: (informer: Informer<FakeObject>, watch: PushedWatch) => Promise<void>): Promise<void> => {
  const watch = new PushedWatch();
  const stop = new AbortController();
  const informer = new Informer<FakeObject>({ transport: watch, kind: resourceKinds.pod, freeze: true, ...more });
  const stopped = informer.start(stop.signal);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  try {
    await run(informer, watch);
  } finally {
    stop.abort();
    await stopped;
  }
};

test('S1: the store changes before handlers, and one that throws does not disturb the others', async () => {
  const errors: unknown[] = [];
  await withInformer({ onHandlerError: (error) => errors.push(error) }, async (informer, watch) => {
    const seen: unknown[] = [];
    informer.onChange(() => {
      throw new Error('a bug');
    });
    informer.onChange((change) => seen.push([change.type, informer.get('ns', 'a')?.metadata.resourceVersion]));
    await watch.send(added(pod('a', '1')), end);
    await watch.send({ type: 'MODIFIED', object: pod('a', '60') }, { type: 'DELETED', object: pod('a', '61') });
    expect(seen).toEqual([['added', '1'], ['updated', '60'], ['deleted', undefined]]);
    expect(errors).toHaveLength(3);
  });
});

test('S2: synced means stored and told', async () => {
  await withInformer({}, async (informer, watch) => {
    let told = 0;
    informer.onChange(() => {
      told += 1;
      expect(informer.synced).toBe(false);
    });
    const toldWhenSynced = informer.whenSynced.then(() => told);
    await watch.send(added(pod('a', '1')), added(pod('b', '2')));
    expect([informer.synced, told]).toEqual([false, 0]);
    await watch.send(end);
    expect([informer.synced, await toldWhenSynced, informer.lastResourceVersion]).toEqual([true, 2, '50']);
  });
});

test('S2: waiting for the caches has an end, and can be stopped', async () => {
  const clock = new ManualClock();
  await withInformer({}, async (informer, watch) => {
    const waiting = waitForSync([informer], { clock });
    clock.advance(120_000);
    await expect(waiting).rejects.toThrow('not synced after 120000 ms: pods: no answer yet');
    await expect(waitForSync([informer], { clock, signal: AbortSignal.abort(new Error('stopping')) })).rejects.toThrow('stopping');
    const inTime = waitForSync([informer], { clock });
    await watch.send(end);
    await inTime;
    expect(clock.pendingTimers).toBe(0);
  });
});

test('S3: objects are frozen all the way down', async () => {
  await withInformer({}, async (informer, watch) => {
    await watch.send(added(pod('a', '1', { labels: { a: 'b' } })), end);
    const stored = informer.get('ns', 'a');
    expect([Object.isFrozen(stored), Object.isFrozen(stored?.metadata.labels)]).toEqual([true, true]);
  });
});

test('S4: managedFields are not kept, or whatever the transform leaves', async () => {
  const object = pod('a', '1', { managedFields: [{ manager: 'kubectl' }] });
  await withInformer({}, async (informer, watch) => {
    await watch.send(added(object), end);
    expect(informer.get('ns', 'a')).toEqual(pod('a', '1'));
  });
  await withInformer({ transform: ({ apiVersion, kind, metadata }) => ({ apiVersion, kind, metadata }) }, async (informer, watch) => {
    await watch.send(added({ ...object, spec: 'large' }), end);
    expect(informer.get('ns', 'a')).toEqual(object);
  });
  expect(withoutManagedFields(pod('b', '2'))).toEqual(pod('b', '2'));
});

test('S5: by namespace, by controlling owner, by a custom index', async () => {
  const owners = [{ apiVersion: 'v1', kind: 'A', name: 'a', uid: 'controller', controller: true }, { apiVersion: 'v1', kind: 'B', name: 'b', uid: 'bystander' }];
  await withInformer({ indexes: { app: ({ metadata }) => Object.values(metadata.labels ?? {}) } }, async (informer, watch) => {
    await watch.send(added(pod('a', '1', { ownerReferences: owners, labels: { app: 'shop' } })), added(pod('b', '2', { namespace: 'other' })), end);
    const names = (index: string, value: string): string[] => informer.byIndex(index, value).map(({ metadata }) => metadata.name);
    expect([names('namespace', 'ns'), names('owner', 'controller'), names('owner', 'bystander'), names('app', 'shop')]).toEqual([['a'], ['a'], [], ['a']]);
    await watch.send({ type: 'MODIFIED', object: pod('a', '60', { labels: { app: 'other' } }) });
    expect([names('owner', 'controller'), names('app', 'shop'), names('app', 'other')]).toEqual([[], [], ['a']]);
  });
});

test('a handler that comes later is told of what is there', async () => {
  await withInformer({}, async (informer, watch) => {
    await watch.send(added(pod('a', '1')), end);
    const seen: Change<FakeObject>[] = [];
    informer.onChange((change) => seen.push(change));
    expect(seen).toMatchObject([{ type: 'added', initial: true, new: { metadata: { name: 'a' } } }]);
  });
});
