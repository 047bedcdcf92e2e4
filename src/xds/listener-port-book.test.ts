import { expect, test } from '@jest/globals';
import { fleetLabels, microserviceLabels } from '../desired/names.ts';
import type { Service } from '../desired/observed.ts';
import { ListenerPortBook } from './listener-port-book.ts';

const REST_MS = 20_000;

const service = (name: string, targets: Readonly<Record<string, number | string>>, overrides: Partial<Service['spec']> = {}): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'shop', labels: microserviceLabels(name) },
  spec: { selector: fleetLabels, ports: Object.entries(targets).map(([port, targetPort]) => ({ name: port, port: 80, targetPort })), ...overrides },
});

function bookOf(...services: readonly Service[]): { readonly book: ListenerPortBook; readonly clock: { nowMs: number } } {
  const clock = { nowMs: 0 };
  const book = new ListenerPortBook(REST_MS, () => clock.nowMs);
  for (const noted of services) book.note(noted);
  return { book, clock };
}

const assigned = (book: ListenerPortBook, name: string, ...ports: readonly string[]) => Object.fromEntries(book.assign('shop', name, ports));

test('what the Services say stays; what they do not say is found', () => {
  const { book } = bookOf(service('hello', { http: 12_345 }));
  const { http, admin } = assigned(book, 'hello', 'http', 'admin');
  expect(http).toBe(12_345);
  expect(admin).toBeGreaterThanOrEqual(10_000);
  expect(assigned(book, 'hello', 'http', 'admin')).toEqual({ http, admin });
});

test('every leader finds the same port, and each namespace has its own', () => {
  const port = assigned(bookOf().book, 'hello', 'http')['http'] ?? 0;
  const { book } = bookOf();
  expect(assigned(book, 'hello', 'http')).toEqual({ http: port });
  expect(new Map(book.assign('elsewhere', 'hello', ['http'])).get('http')).not.toBe(port);
  const { book: other } = bookOf(service('first', { http: port }));
  expect(assigned(other, 'hello', 'http')).not.toEqual({ http: port });
});

const natural = bookOf().book.assign('shop', 'hello', ['http']).get('http') ?? 0;

test.each<[string, Service]>([
  ['that selects pods', service('hello', { http: 12_345 }, { selector: { 'microservice-operator.io/microservice': 'hello' } })],
  ['of a version', { ...service('hello--v1', { http: natural }), metadata: { name: 'hello--v1', namespace: 'shop', labels: microserviceLabels('hello') } }],
  ['with a port of no listener', service('hello', { http: 80 })],
  ['with a port by name', service('hello', { http: 'http' })],
])('a Service %s says nothing', (_what, noted) => {
  expect(assigned(bookOf(noted).book, 'hello', 'http')).toEqual({ http: natural });
});

test('of two Services with one port the second gets another, whoever asks first', () => {
  const { book } = bookOf(service('first', { http: 12_345 }), service('second', { http: 12_345 }));
  expect(assigned(book, 'second', 'http')).not.toEqual({ http: 12_345 });
  expect(assigned(book, 'first', 'http')).toEqual({ http: 12_345 });
});

test('of two ports of one Service that were edited to one listener the second gets another', () => {
  const { http, admin } = assigned(bookOf(service('hello', { http: 12_345, admin: 12_345 })).book, 'hello', 'http', 'admin');
  expect(http).toBe(12_345);
  expect(admin).not.toBe(12_345);
});

test('a freed port rests, then is free for anybody; a kept one and those of others stay', () => {
  const { book, clock } = bookOf();
  const { http, admin } = assigned(book, 'hello', 'http', 'admin');
  const other = assigned(book, 'other', 'http');
  book.release('shop', 'hello', new Set(['admin']));
  expect(assigned(book, 'hello', 'admin')).toEqual({ admin });
  expect(assigned(book, 'other', 'http')).toEqual(other);
  clock.nowMs += REST_MS;
  const { http: early } = assigned(book, 'hello', 'http');
  expect(early).not.toBe(http);
  book.release('shop', 'hello', new Set(['admin']));
  clock.nowMs += 1;
  expect(assigned(book, 'hello', 'http')).toEqual({ http });
});

test('what rests in one namespace is free in another', () => {
  const { book } = bookOf();
  const { http = 0 } = assigned(book, 'hello', 'http');
  book.release('shop', 'hello', new Set());
  book.note({ ...service('x', { http }), metadata: { name: 'x', namespace: 'elsewhere', labels: microserviceLabels('x') } });
  expect([...book.assign('elsewhere', 'x', ['http']).values()]).toEqual([http]);
});

test('with all 20,000 in use it says so and gives none away', () => {
  const targets = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`p${index}`, 10_000 + index]));
  const { book } = bookOf(service('big', targets));
  expect(() => book.assign('shop', 'hello', ['http'])).toThrow('split the namespace');
  book.release('shop', 'big', new Set(Object.keys(targets).slice(1)));
  expect(() => book.assign('shop', 'hello', ['http'])).toThrow('split the namespace');
});
