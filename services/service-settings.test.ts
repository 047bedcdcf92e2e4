import { expect, test } from '@jest/globals';
import { readInteger, readServiceSettings } from './service-settings.ts';

test('defaults', () => {
  expect(readServiceSettings({ PORT: '' }, 8080)).toEqual({ port: 8080, version: 'dev', stopDelayMs: 3000, stopTimeoutMs: 15_000 });
});

test('every variable is read', () => {
  const env = { PORT: '0', VERSION: 'v1.2', STOP_DELAY_MS: '7', STOP_TIMEOUT_MS: '8' };
  expect(readServiceSettings(env, 8080)).toEqual({ port: 0, version: 'v1.2', stopDelayMs: 7, stopTimeoutMs: 8 });
});

test.each(['65536', '-1', '80.5', '1e3', ' 80', '0x50', 'NaN', '99999999999999999999', 'tcp://10.0.0.1:80'])('PORT %j is refused by name', (PORT) => {
  expect(() => readServiceSettings({ PORT }, 8080)).toThrow(/^PORT must be a whole number from 0 to 65535, not "/);
});

test.each(['a b', 'v1\nx-evil: 1', 'é', 'v'.repeat(129)])('VERSION %j cannot be a header', (VERSION) => {
  expect(() => readServiceSettings({ VERSION }, 8080)).toThrow(/^VERSION must be/);
});

test('the greatest value is allowed', () => {
  expect(readInteger({ X: '5' }, 'X', { fallback: 0, max: 5 })).toBe(5);
});
