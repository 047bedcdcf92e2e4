import { expect, test } from '@jest/globals';
import { pruned } from './manifest.ts';

test('drops what is undefined or empty, all the way down, and nothing else', () => {
  expect(pruned({ a: undefined, b: [], c: {}, d: { e: { f: undefined } }, g: [{ h: {} }], zero: 0, no: false, text: '' })).toEqual({ g: [{}], zero: 0, no: false, text: '' });
});

test('keeps a selector that is empty on purpose: it selects everything', () => {
  const term = { topologyKey: 'host', labelSelector: {}, namespaceSelector: {} };
  expect(pruned({ affinity: { terms: [term], preferred: [{ weight: 1, preference: {} }] } })).toEqual({ affinity: { terms: [term], preferred: [{ weight: 1, preference: {} }] } });
});
