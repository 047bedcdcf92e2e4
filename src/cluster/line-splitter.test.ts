import { expect, test } from '@jest/globals';
import { array, assert, integer, property, string } from 'fast-check';
import { ProtocolError } from './api-error.ts';
import { LineSplitter } from './line-splitter.ts';

test('R13 property: lines come out whole wherever the bytes are cut', () => {
  const line = string({ unit: 'binary' }).map((text) => JSON.stringify({ text }));
  assert(
    property(array(line, { maxLength: 8 }), array(integer({ min: 1, max: 30 }), { minLength: 1 }), (lines, sizes) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
      const splitter = new LineSplitter();
      const got: string[] = [];
      for (let start = 0, cut = 0; start < bytes.length; cut += 1) {
        const size = sizes[cut % sizes.length] ?? 1;
        got.push(...splitter.push(bytes.subarray(start, start + size)));
        start += size;
      }
      expect(got).toEqual(lines);
    }),
  );
});

test('R11: a broken last line is dropped, blank lines are nothing', () => {
  const splitter = new LineSplitter();
  expect(splitter.push(Buffer.from('{"a":1}\r\n\n{"b":'))).toEqual(['{"a":1}\r']);
});

test('a line without an end does not fill the memory', () => {
  const splitter = new LineSplitter(10);
  splitter.push(Buffer.from('12345'));
  expect(() => splitter.push(Buffer.from('678901'))).toThrow(ProtocolError);
});
