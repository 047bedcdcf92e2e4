import { expect, test } from '@jest/globals';
import { array, assert, constantFrom, integer, property, record } from 'fast-check';
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import { compareResourceVersions } from './resource-version.ts';
import { Store, type Change } from './store.ts';

interface Thing extends KubernetesObject {
  readonly colour?: string;
}

const thing = (name: string, resourceVersion: string, more: { uid?: string; colour?: string } = {}): Thing => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: { name, namespace: 'ns', uid: more.uid ?? `uid-${name}`, resourceVersion },
  colour: more.colour ?? 'red',
});

const make = (): Store<Thing> => new Store<Thing>({ colour: ({ colour = '' }) => [colour] });

const told = (changes: readonly Change<Thing>[]): string[] => changes.map((change) => `${change.type} ${(change.new ?? change.old).metadata.name} ${change.old?.metadata.resourceVersion ?? '-'}>${change.new?.metadata.resourceVersion ?? '-'}`);

test('R10: versions are decimals of any length; others are only equal or not', () => {
  expect(compareResourceVersions('9', '10')).toBeLessThan(0);
  expect(compareResourceVersions('18446744073709551615', '18446744073709551614')).toBeGreaterThan(0);
  expect(compareResourceVersions('x', 'x')).toBe(0);
  expect([compareResourceVersions('x', 'y'), compareResourceVersions('010', '9'), compareResourceVersions('', '9')]).toEqual([undefined, undefined, undefined]);
});

test('R9: a relist is a diff: gone, made anew, unchanged, changed, new', () => {
  const store = make();
  expect(store.replace(['gone', 'anew', 'same', 'changed'].map((name) => thing(name, '5')), true).every((change) => change.type === 'added' && change.initial)).toBe(true);
  const changes = store.replace([thing('anew', '8', { uid: 'other' }), thing('same', '5'), thing('changed', '7'), thing('new', '6')], false);
  expect(told(changes)).toEqual(['deleted gone 5>-', 'deleted anew 5>-', 'added anew ->8', 'updated changed 5>7', 'added new ->6']);
  expect(changes[0]).toMatchObject({ finalStateUnknown: true });
  expect(changes[4]).toMatchObject({ initial: false });
  expect(store.size).toBe(4);
});

test('R10: events that are not newer are dropped, also those of an earlier life', () => {
  const store = make();
  store.replace([thing('a', '10')], true);
  expect(store.apply({ type: 'MODIFIED', object: thing('a', '9') })).toEqual([]);
  expect(store.apply({ type: 'ADDED', object: thing('a', '10') })).toEqual([]);
  expect(store.apply({ type: 'DELETED', object: thing('a', '9') })).toEqual([]);
  expect(store.apply({ type: 'DELETED', object: thing('a', '12', { uid: 'earlier' }) })).toEqual([]);
  expect(store.apply({ type: 'DELETED', object: thing('unknown', '12') })).toEqual([]);
  expect(told(store.apply({ type: 'MODIFIED', object: thing('a', '11') }))).toEqual(['updated a 10>11']);
  expect(told(store.apply({ type: 'ADDED', object: thing('a', '13', { uid: 'next' }) }))).toEqual(['deleted a 11>-', 'added a ->13']);
  const [gone] = store.apply({ type: 'DELETED', object: thing('a', '14', { uid: 'next', colour: 'last' }) });
  expect(gone).toMatchObject({ type: 'deleted', finalStateUnknown: false, old: { colour: 'last' } });
  expect(store.byIndex('colour', 'red')).toEqual([]);
});

test('an unknown index is a mistake of the caller', () => {
  expect(() => make().byIndex('size', 'big')).toThrow('there is no index size; there are colour');
});

test('S5 property: after any events and relists, objects and indexes are those of a plain map', () => {
  const step = record({ do: constantFrom('put', 'delete', 'relist'), name: constantFrom('a', 'b', 'c'), colour: constantFrom('red', 'blue'), life: integer({ min: 1, max: 2 }) });
  assert(
    property(array(step, { maxLength: 30 }), (steps) => {
      const store = make();
      const model = new Map<string, Thing>();
      steps.forEach(({ do: action, name, colour, life }, version) => {
        const old = model.get(name);
        const object = thing(name, `${version + 1}`, { uid: action === 'delete' ? (old?.metadata.uid ?? 'none') : `${name}${life}`, colour });
        if (action === 'delete') model.delete(name);
        else model.set(name, object);
        if (action === 'relist') store.replace([...model.values()], false);
        else store.apply({ type: action === 'put' ? 'MODIFIED' : 'DELETED', object });
      });
      const byName = (a: Thing, b: Thing): number => a.metadata.name.localeCompare(b.metadata.name);
      expect(store.list().toSorted(byName)).toEqual([...model.values()].toSorted(byName));
      for (const colour of ['red', 'blue']) {
        expect(store.byIndex('colour', colour).toSorted(byName)).toEqual([...model.values()].filter((object) => object.colour === colour).toSorted(byName));
      }
    }),
  );
});
