import { expect, test } from '@jest/globals';
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import { WrittenVersions } from './written-versions.ts';

const object = (resourceVersion: string, more: Partial<KubernetesObject['metadata']> = {}): KubernetesObject => ({ apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'ns', name: 'a', uid: 'u1', resourceVersion, ...more } });

const make = () => {
  const cache = { lastResourceVersion: '10', cached: undefined as KubernetesObject | undefined, get: () => cache.cached };
  const time = { nowMs: 0 };
  const written = new WrittenVersions({ cacheOf: ({ kind }) => (kind === 'Service' ? cache : undefined), nowMs: () => time.nowMs });
  return { cache, time, written };
};

test('C6: stale until the cache has come as far as the write, for this key only', () => {
  const { cache, time, written } = make();
  written.wrote('ns/ours', object('12'));
  written.wrote('ns/ours', object('11', { name: 'b' }));
  time.nowMs = 150;
  expect([written.isFresh('ns/ours'), written.isFresh('ns/other'), written.staleForMs('ns/ours')]).toEqual([false, true, 150]);
  cache.lastResourceVersion = '11';
  expect(written.isFresh('ns/ours')).toBe(false);
  cache.lastResourceVersion = '12';
  expect(written.isFresh('ns/ours')).toBe(true);
  cache.lastResourceVersion = '5';
  expect(written.isFresh('ns/ours')).toBe(true);
});

test('C6: a write that changed nothing is fresh at once, and so is one that nobody caches', () => {
  const { written } = make();
  written.wrote('k', object('10'));
  written.wrote('k', { ...object('99'), kind: 'Secret' });
  written.wrote('k', object('99', { resourceVersion: '' }));
  expect(written.isFresh('k')).toBe(true);
});

test('C6: a removal is seen when the object is gone, being deleted, or another one', () => {
  const { cache, written } = make();
  const states: readonly [KubernetesObject | undefined, boolean][] = [
    [object('9'), false],
    [object('11', { deletionTimestamp: 'now' }), true],
    [object('12', { uid: 'u2' }), true],
    [undefined, true],
  ];
  for (const [cached, fresh] of states) {
    cache.cached = cached;
    written.removed('k', object('9'));
    expect(written.isFresh('k')).toBe(fresh);
  }
});

test('C6: versions that cannot be ordered are compared with the object itself', () => {
  const { cache, written } = make();
  cache.lastResourceVersion = 'zz';
  written.wrote('k', object('aa'));
  expect(written.isFresh('k')).toBe(false);
  cache.cached = object('aa');
  expect(written.isFresh('k')).toBe(true);
});
