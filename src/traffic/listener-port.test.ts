import { expect, test } from '@jest/globals';
import { array, assert, integer, property, string, uniqueArray } from 'fast-check';
import { isListenerPort, listenerPorts } from './listener-port.ts';

const nothing = new Map<string, number>();

test('every leader finds the same port, whatever the order of asking', () => {
  const ids = ['hello/http', 'shop/admin', 'shop/http'];
  expect(listenerPorts('shop', ids, nothing)).toEqual(listenerPorts('shop', ids.toReversed(), nothing));
  expect(listenerPorts('shop', ['hello/http'], nothing).get('hello/http')).toBe(listenerPorts('shop', ids, nothing).get('hello/http'));
});

test('what a Service says already stays, and nobody else gets it', () => {
  const own = listenerPorts('shop', ['hello/http'], nothing).get('hello/http') ?? 0;
  const assigned = listenerPorts('shop', ['hello/http', 'other/http'], new Map([['other/http', own]]));
  expect(assigned.get('other/http')).toBe(own);
  expect(assigned.get('hello/http')).toBe(own + 1);
});

test('a freed port rests until its drain is over', () => {
  const own = listenerPorts('shop', ['hello/http'], nothing).get('hello/http') ?? 0;
  expect(listenerPorts('shop', ['hello/http'], nothing, new Set([own])).get('hello/http')).not.toBe(own);
});

test('the search goes round at the end of the range', () => {
  const taken = new Set(Array.from({ length: 20_000 }, (_, index) => 10_000 + index));
  taken.delete(10_003);
  expect(listenerPorts('shop', ['hello/http'], nothing, taken).get('hello/http')).toBe(10_003);
});

test('all ports in use is an error with a way out', () => {
  const taken = new Set(Array.from({ length: 20_000 }, (_, index) => 10_000 + index));
  expect(() => listenerPorts('shop', ['hello/http'], nothing, taken)).toThrow('split the namespace');
});

test('no two share a port and all are in the range, even where somebody has edited two Services to the same one', () => {
  const ids = uniqueArray(string({ minLength: 1, maxLength: 4 }), { maxLength: 60 });
  const ports = array(integer({ min: 10_000, max: 10_040 }), { maxLength: 40 });
  assert(
    property(ids, ports, ports, (wanted, observed, taken) => {
      const seen = new Map(observed.map((port, index) => [wanted[index] ?? `gone-${index}`, port]));
      const assigned = [...listenerPorts('shop', wanted, seen, new Set(taken)).values()];
      expect(assigned).toHaveLength(wanted.length);
      expect(new Set(assigned).size).toBe(assigned.length);
      expect(assigned.every(isListenerPort)).toBe(true);
    }),
  );
});

test.each<[number | string | undefined, boolean]>([
  [9_999, false], [10_000, true], [29_999, true], [30_000, false], ['http', false], [undefined, false],
])('%s is a listener port: %s', (port, expected) => {
  expect(isListenerPort(port)).toBe(expected);
});
