import { expect, test } from '@jest/globals';
import { assert, integer, property } from 'fast-check';
import { quantity } from './quantity.ts';

test.each([
  ['100m', 0.1], ['1', 1], ['1.5', 1.5], ['.5', 0.5], ['2k', 2_000], ['1Ki', 1_024], ['1.5Gi', 1_610_612_736], ['1e3', 1_000], ['1E', 1e18], ['12e-1', 1.2],
  ['5n', 5e-9], ['7u', 7e-6], ['+3', 3], ['-3', -3], [4, 4],
])('%s is %d', (text, value) => {
  expect(quantity(text)).toBe(value);
});

test.each(['', 'abc', '1 Gi', '1GiB', '1e3k', 'Mi', '1..5', undefined, null, {}])('%s is no quantity', (value) => {
  expect(quantity(value)).toBeUndefined();
});

test('every number of thousandths equals its decimal form, as the API server writes the one for the other', () => {
  assert(
    property(integer({ min: 0, max: 10_000_000 }), (thousandths) => {
      expect(quantity(`${thousandths}m`)).toBe(quantity((thousandths / 1000).toString()));
    }),
  );
});
