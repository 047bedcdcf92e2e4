import { expect, test } from '@jest/globals';
import { assert, boolean, integer, option, pre, property, record, string, uniqueArray } from 'fast-check';
import { effectiveWeights, type WeightInput } from './weights.ts';

const of = (version: string, weight: number | undefined, isReady: boolean, isServing = false): WeightInput => ({ version, weight, isReady, isServing });

test.each<[string, readonly WeightInput[], readonly (readonly [string, number])[]]>([
  ['all ready: as asked', [of('v1', 90, true), of('v2', 10, true)], [['v1', 90], ['v2', 10]]],
  ['without a ready pod: nothing, though it stays in the split', [of('v1', 90, true), of('v2', 10, false)], [['v1', 90], ['v2', 0]]],
  ['removed from the spec: out of the split', [of('v1', 90, true), of('v2', undefined, true)], [['v1', 90]]],
  ['a switch to a version that is not ready: the one that serves goes on', [of('v1', 0, true, true), of('v2', 100, false)], [['v1', 1], ['v2', 0]]],
  ['the switched-to version is ready: it takes over', [of('v1', 0, true, true), of('v2', 100, true)], [['v1', 0], ['v2', 100]]],
  ['only a dark one is ready: it never steps in', [of('v1', 100, false, true), of('v2', 0, true)], [['v1', 100], ['v2', 0]]],
  ['only a dark one and a removed one are ready: the removed one serves', [of('v1', 100, false), of('v2', 0, true), of('v0', undefined, true)], [['v1', 0], ['v2', 0], ['v0', 1]]],
  ['one with weight is ready: who served before with weight 0 does not go on', [of('v1', 0, true, true), of('v2', 50, false), of('v3', 50, true)], [['v1', 0], ['v2', 0], ['v3', 50]]],
  ['whoever serves but is not ready does not go on', [of('v1', 0, false, true), of('v2', 100, false)], [['v1', 0], ['v2', 100]]],
  ['only a removed one is ready: the last good version serves', [of('v2', 100, false), of('v1', undefined, true)], [['v2', 0], ['v1', 1]]],
  ['nobody is ready: as asked', [of('v1', 90, false), of('v2', 10, false)], [['v1', 90], ['v2', 10]]],
])('%s', (_what, inputs, expected) => {
  expect([...effectiveWeights(inputs)]).toEqual(expected);
});

const worlds = uniqueArray(
  record({ version: string({ minLength: 1, maxLength: 3 }), weight: option(integer({ min: 0, max: 1_000_000 }), { nil: undefined }), isReady: boolean(), isServing: boolean() }),
  { selector: ({ version }) => version, maxLength: 8 },
);
/** May get requests: it has a weight, serves now, or is what was removed last. */
const isEligible = ({ weight, isServing }: WeightInput): boolean => weight === undefined || weight > 0 || isServing;
const sum = (weights: ReadonlyMap<string, number>): number => [...weights.values()].reduce((total, weight) => total + weight, 0);

test('nothing goes to an unready version while another is ready that may have requests', () => {
  assert(
    property(worlds, (inputs) => {
      const weights = effectiveWeights(inputs);
      pre(inputs.some((input) => input.isReady && isEligible(input)));
      expect(inputs.filter((input) => !input.isReady && (weights.get(input.version) ?? 0) > 0)).toEqual([]);
    }),
  );
});

test('nothing ever goes to a version with weight 0 that does not serve already', () => {
  assert(
    property(worlds, (inputs) => {
      const weights = effectiveWeights(inputs);
      expect(inputs.filter((input) => !isEligible(input) && (weights.get(input.version) ?? 0) > 0)).toEqual([]);
    }),
  );
});

test('somebody gets the requests whenever a version has a weight, or is ready and serves: Envoy rejects a sum of 0', () => {
  assert(
    property(worlds, (inputs) => {
      pre(inputs.some((input) => (input.isReady && isEligible(input)) || (input.weight ?? 0) > 0));
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
