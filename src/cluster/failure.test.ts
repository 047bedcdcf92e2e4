import { expect, test } from '@jest/globals';
import { ApiError, apiErrorFrom, ConnectionError } from './api-error.ts';
import { failedOutcome, refusal } from './failure.ts';

const status = (code: number, reason: string, retryAfterMs?: number): ApiError => new ApiError(code, { reason, message: `it is ${reason}` }, 'PATCH /a', retryAfterMs);

test('a refusal is told in the words of the server', () => {
  expect(refusal(status(422, 'Invalid'))).toEqual({ reason: 'Invalid', message: 'it is Invalid' });
  expect(refusal(status(403, 'Forbidden'))).toEqual({ reason: 'Forbidden', message: 'it is Forbidden' });
  expect([refusal(status(409, 'Conflict')), refusal(status(500, 'InternalError')), refusal(new ConnectionError('reset')), refusal('odd')]).toEqual([undefined, undefined, undefined, undefined]);
});

test('a failure is retried when the server wants it, a missing permission slowly', () => {
  const busy = status(429, 'TooManyRequests', 3_000);
  expect(failedOutcome(busy)).toEqual({ kind: 'failed', error: busy, retryAfterMs: 3_000 });
  expect(failedOutcome(status(403, 'Forbidden'))).toMatchObject({ kind: 'failed', retryAfterMs: 15_000 });
  const reset = new ConnectionError('reset');
  expect([failedOutcome(reset), failedOutcome(status(500, ''))]).toMatchObject([{ kind: 'failed', error: reset }, { kind: 'failed' }]);
  expect(failedOutcome(reset)).not.toHaveProperty('retryAfterMs');
});

test('whatever a proxy wrote is the message', () => {
  expect(apiErrorFrom('GET /a', 502, '<html>Bad Gateway</html>').message).toBe('GET /a: 502 : <html>Bad Gateway</html>');
  expect(apiErrorFrom('GET /a', 429, '{"kind":"Status","reason":"TooManyRequests","message":"slow down","details":{"retryAfterSeconds":2}}')).toMatchObject({ retryAfterMs: 2_000, reason: 'TooManyRequests' });
  expect(apiErrorFrom('GET /a', 429, '', '7').retryAfterMs).toBe(7_000);
  expect(apiErrorFrom('GET /a', 500, 'null').code).toBe(500);
});
