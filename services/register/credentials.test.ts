import { expect, test } from '@jest/globals';
import { RequestRefused } from '../http-answer.ts';
import { readCredentials, type Credentials } from './credentials.ts';

const secret = 'correct horse';

function read(value: unknown): Credentials {
  return readCredentials(Buffer.from(JSON.stringify(value)));
}

function refusalOf(body: Buffer): unknown {
  try {
    return readCredentials(body);
  } catch (error) {
    return error instanceof RequestRefused ? error.refusal : error;
  }
}

test.each([
  ['Ada', secret],
  ['a', '12345678'],
  ['名'.repeat(64), '😀'.repeat(8)],
  ['😀'.repeat(64), '😀'.repeat(256)],
  ['می\u200cخواهم', `${secret}\0\n`],
  ['__proto__', '        '],
  ["'; DROP TABLE users; --", '${jndi:ldap://x}{{7*7}}%s'],
])('%j is a fine name', (username, password) => {
  expect(read({ username, password, other: [1] })).toEqual({ username, password });
});

test('one name in two spellings is one name; the password stays as it came', () => {
  expect(read({ username: 'Zoe\u0308', password: 'Zoe\u0308 12345' })).toEqual({ username: 'Zo\u00eb', password: 'Zoe\u0308 12345' });
});

test.each([
  [{ password: secret }, 'username', 'username is missing'],
  [{ username: 'Ada' }, 'password', 'password is missing'],
  [{}, 'username', 'username is missing'],
  [{ username: 7, password: secret }, 'username', 'username must be a string'],
  [{ username: null, password: secret }, 'username', 'username must be a string'],
  [{ username: ['Ada'], password: secret }, 'username', 'username must be a string'],
  [{ username: '', password: secret }, 'username', 'username must have 1 to 64 characters'],
  [{ username: 'a'.repeat(65), password: secret }, 'username', 'username must have 1 to 64 characters'],
  [{ username: 'a\u0000b', password: secret }, 'username', 'username must not contain control characters'],
  [{ username: 'a\nb', password: secret }, 'username', 'username must not contain control characters'],
  [{ username: 'a\u001b[31mb', password: secret }, 'username', 'username must not contain control characters'],
  [{ username: 'a\u202eb', password: secret }, 'username', 'username must not contain control characters'],
  [{ username: 'a\u2028b', password: secret }, 'username', 'username must not contain control characters'],
  [{ username: 'a\ud800', password: secret }, 'username', 'username must be well-formed Unicode'],
  [{ username: 'Ada', password: '1234567' }, 'password', 'password must have 8 to 256 characters'],
  [{ username: 'Ada', password: '😀'.repeat(7) }, 'password', 'password must have 8 to 256 characters'],
  [{ username: 'Ada', password: 'a'.repeat(257) }, 'password', 'password must have 8 to 256 characters'],
  [{ username: 'Ada', password: 12_345_678 }, 'password', 'password must be a string'],
  [{ username: 'Ada', password: '1234567\udc00' }, 'password', 'password must be well-formed Unicode'],
])('%j is refused for its %s', (value, field, message) => {
  expect(refusalOf(Buffer.from(JSON.stringify(value)))).toEqual({ status: 400, field, message });
});

test.each([
  ['nothing', ''],
  ['broken JSON', `{"username":"Ada","password":"${secret}"`],
  ['a list', `["Ada","${secret}"]`],
  ['null', 'null'],
  ['a string', `"${secret}"`],
  ['a form', `username=Ada&password=${secret}`],
  ['deep nesting', '['.repeat(16_000)],
  ['not UTF-8', Buffer.from([0x7b, 0xff, 0x7d])],
])('%s is refused without quoting it', (_name, body) => {
  expect(refusalOf(Buffer.from(body))).toEqual({ status: 400, field: 'body', message: 'body must be a JSON object in UTF-8' });
});

test('prototype keys change nothing', () => {
  const body = Buffer.from(`{"__proto__":{"username":"Eve","polluted":true},"constructor":{"prototype":{"polluted":true}},"password":"${secret}"}`);
  expect(refusalOf(body)).toMatchObject({ message: 'username is missing' });
  expect('polluted' in {}).toBe(false);
});
