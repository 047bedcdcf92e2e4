import { expect, test } from '@jest/globals';
import { assert, property, string } from 'fast-check';
import { decodeSegment, requestTarget } from './request-target.ts';

test.each([
  ['/', { path: '/', search: '' }],
  ['/a%2Fb?x=1&y', { path: '/a%2Fb', search: 'x=1&y' }],
  ['/a?b?c', { path: '/a', search: 'b?c' }],
  ['//a', { path: '//a', search: '' }],
  ['http://example.org', { path: '/', search: '' }],
  ['HTTP://example.org:80/a?b', { path: '/a', search: 'b' }],
  ['http://example.org?b', { path: '/', search: 'b' }],
  ['*', undefined],
  ['', undefined],
  ['?a', undefined],
  ['example.org:443', undefined],
])('target %j', (url, target) => {
  expect(requestTarget(url)).toEqual(target);
});

test('every well-formed text survives encoding', () => {
  assert(property(string({ unit: 'binary' }), (text) => expect(decodeSegment(encodeURIComponent(text))).toBe(text)));
});

test.each(['%', '%f', '%ff', '%c3', '%ed%a0%80', '%c0%af'])('%j is not UTF-8', (segment) => {
  expect(decodeSegment(segment)).toBeUndefined();
});
