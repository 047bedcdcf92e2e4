import { expect, test } from '@jest/globals';
import fc from 'fast-check';
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
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => decodeSegment(encodeURIComponent(text)) === text));
});

test('bytes that were not encoded count as UTF-8', () => {
  expect(decodeSegment(Buffer.from('Zoë 名').toString('latin1'))).toBe('Zoë 名');
});

test.each(['%', '%f', '%ff', '%c3', '%ed%a0%80', '%c0%af', 'é'])('%j is not UTF-8', (segment) => {
  expect(decodeSegment(segment)).toBeUndefined();
});
