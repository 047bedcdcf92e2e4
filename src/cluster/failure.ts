import type { Outcome } from '../engine/outcome.ts';
import { ApiError, NotOursError } from './api-error.ts';

/** A granted permission or a raised quota sends no event. */
const forbiddenRetryMs = 15_000;

/** Invalid, refused by admission, not allowed, over quota. */
const refusals: ReadonlySet<number> = new Set([400, 403, 422]);

/** The API server's own words where it has understood the write and said no: repeating it alone changes nothing. Undefined for any other error. */
export function refusal(error: unknown): { readonly reason: string; readonly message: string } | undefined {
  if (error instanceof NotOursError) return { reason: 'NameConflict', message: error.message };
  if (!(error instanceof ApiError) || !refusals.has(error.code)) return undefined;
  return { reason: error.reason || 'Refused', message: error.statusMessage };
}

/** The end of a pass that an error has ended: retried with backoff, and not before the server wants to be asked again. */
export function failedOutcome(error: unknown): Outcome {
  if (!(error instanceof ApiError)) return { kind: 'failed', error };
  const retryAfterMs = error.retryAfterMs ?? (error.code === 403 ? forbiddenRetryMs : undefined);
  return retryAfterMs === undefined ? { kind: 'failed', error } : { kind: 'failed', error, retryAfterMs };
}
