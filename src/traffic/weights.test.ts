import { expect, test } from '@jest/globals';
import { assert, boolean, integer, option, pre, property, record, string, uniqueArray } from 'fast-check';
import { effectiveWeights, type WeightInput } from './weights.ts';

const of = (version: string, weight: number | undefined, isReady: boolean): WeightInput => ({ version, weight, isReady });

test.each<[string, readonly WeightInput[], readonly (readonly [string, number])[]]>([
  ['all ready: as asked', [of('v1', 90, true), of('v2', 10, true)], [['v1', 90], ['v2', 10]]],
  ['without a ready pod: nothing, though it stays in the split', [of('v1', 90, true), of('v2', 10, false)], [['v1', 90], ['v2', 0]]],
  ['removed from the spec: out of the split', [of('v1', 90, true), of('v2', undefined, true)], [['v1', 90]]],
  ['only one with weight 0 is ready: it serves', [of('v1', 0, true), of('v2', 100, false)], [['v1', 1], ['v2', 0]]],
  ['only a removed one is ready: the last good version serves', [of('v2', 100, false), of('v1', undefined, true)], [['v2', 0], ['v1', 1]]],
  ['nobody is ready: as asked', [of('v1', 90, false), of('v2', 10, false)], [['v1', 90], ['v2', 10]]],
])('%s', (_what, inputs, expected) => {
  expect([...effectiveWeights(inputs)]).toEqual(expected);
});

const worlds = uniqueArray(
  record({ version: string({ minLength: 1, maxLength: 3 }), weight: option(integer({ min: 0, max: 1_000_000 }), { nil: undefined }), isReady: boolean() }),
  { selector: ({ version }) => version, maxLength: 8 },
);
const sum = (weights: ReadonlyMap<string, number>): number => [...weights.values()].reduce((total, weight) => total + weight, 0);

test('nothing goes to an unready version while another is ready', () => {
  assert(
    property(worlds, (inputs) => {
      const weights = effectiveWeights(inputs);
      pre(inputs.some((input) => input.isReady));
      expect(inputs.filter((input) => !input.isReady && (weights.get(input.version) ?? 0) > 0)).toEqual([]);
    }),
  );
});

test('somebody gets the requests whenever a version is ready or has a weight: Envoy rejects a sum of 0', () => {
  assert(
    property(worlds, (inputs) => {
      pre(inputs.some((input) => input.isReady || (input.weight ?? 0) > 0));
      expect(sum(effectiveWeights(inputs))).toBeGreaterThan(0);
    }),
  );
});

test('every wanted version is in the split, so that raising its weight touches nothing else; and weights stay integers', () => {
  assert(
    property(worlds, (inputs) => {
      const weights = effectiveWeights(inputs);
      expect(inputs.filter((input) => input.weight !== undefined && !weights.has(input.version))).toEqual([]);
      expect([...weights.values()].every((weight) => Number.isInteger(weight) && weight >= 0)).toBe(true);
      expect(sum(weights)).toBeLessThan(2 ** 32);
    }),
  );
});

test('the ratio of ready versions with a weight is the one asked for', () => {
  assert(
    property(worlds, (inputs) => {
      const serving = inputs.filter((input) => input.isReady && (input.weight ?? 0) > 0);
      pre(serving.length > 0);
      const weights = effectiveWeights(inputs);
      for (const input of serving) expect(weights.get(input.version)).toBe(input.weight);
    }),
  );
});
