import { expect, test } from '@jest/globals';
import { ApiError, ConnectionError, ProtocolError } from './api-error.ts';
import { recovery, serverErrorPatienceMs, ShortWatchError, type ReflectorStep } from './reflector-step.ts';

const watching: ReflectorStep = { do: 'watch', from: '7' };
const listing: ReflectorStep = { do: 'sync', from: '7' };
const afresh: ReflectorStep = { do: 'sync', from: '' };
const status = (code: number, reason = '', retryAfterMs?: number): ApiError => new ApiError(code, { reason }, 'watch', retryAfterMs);
const tooLarge = new ApiError(504, { reason: 'Timeout', details: { causes: [{ reason: 'ResourceVersionTooLarge' }] } }, 'list');

interface Case {
  readonly what: string;
  readonly step: ReflectorStep;
  readonly error: unknown;
  readonly next: ReflectorStep;
  readonly pace?: 'slow';
}

test.each<Case>([
  { what: 'a refused or broken connection: the same version, no list', step: watching, error: new ConnectionError('refused'), next: watching },
  { what: 'a short watch', step: watching, error: new ShortWatchError(), next: watching },
  { what: '429', step: watching, error: status(429), next: watching },
  { what: '410 while watching: list at the last version', step: watching, error: status(410), next: listing },
  { what: '410 while listing: list the latest', step: listing, error: status(410), next: afresh },
  { what: '410 while listing the latest', step: afresh, error: status(410), next: afresh },
  { what: 'too large version', step: listing, error: tooLarge, next: afresh },
  { what: '500: watch again', step: watching, error: status(500), next: watching },
  { what: '403', step: watching, error: status(403), next: afresh, pace: 'slow' },
  { what: '404', step: afresh, error: status(404), next: afresh, pace: 'slow' },
  { what: '401', step: watching, error: status(401), next: afresh, pace: 'slow' },
  { what: 'anything else', step: watching, error: status(400), next: listing },
  { what: 'what we do not understand', step: watching, error: new ProtocolError('garbage'), next: afresh },
  { what: 'a bug of our own', step: watching, error: new TypeError('x is undefined'), next: afresh },
])('R7: $what', ({ step, error, next, pace = 'backoff' }) => {
  expect(recovery(step, error, 0)).toMatchObject({ step: next, pace });
});

test('R7: a server that only fails inside the stream is listed after a while; Retry-After is kept', () => {
  expect(recovery(watching, status(500), serverErrorPatienceMs).step).toEqual(listing);
  expect(recovery(watching, status(429, 'TooManyRequests', 4_000), 0)).toMatchObject({ step: watching, atLeastMs: 4_000 });
});
