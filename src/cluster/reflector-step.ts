import { ApiError, ConnectionError, isExpired, isTooLargeResourceVersion, ProtocolError } from './api-error.ts';

/** What the reflector does next: read everything, or only what has changed since. `from` is a resourceVersion; empty: consistent with the latest write. */
export type ReflectorStep = { readonly do: 'sync' | 'watch'; readonly from: string };

/** A watch that the server closed at once, without an event: no reason to ask again at once. */
export class ShortWatchError extends Error {
  override readonly name = 'ShortWatchError';
}

export interface Recovery {
  readonly step: ReflectorStep;
  /** `slow`: only a person can mend it. */
  readonly pace: 'backoff' | 'slow';
  readonly atLeastMs?: number | undefined;
}

/** A server that fails inside the stream gets this long before everything is read again. */
export const serverErrorPatienceMs = 60_000;

/** Credentials, RBAC, a missing CustomResourceDefinition. */
const needsAPerson: ReadonlySet<number> = new Set([401, 403, 404]);

/** What to do after a failure. `serverErrorsForMs`: since when in-stream and 5xx errors repeat without one event between them. */
export function recovery(step: ReflectorStep, error: unknown, serverErrorsForMs: number): Recovery {
  const again: Recovery = { step, pace: 'backoff' };
  const relist: Recovery = { step: { do: 'sync', from: step.from }, pace: 'backoff' };
  const readAfresh: Recovery = { step: { do: 'sync', from: '' }, pace: 'backoff' };
  if (error instanceof ConnectionError || error instanceof ShortWatchError) return again;
  // Something was sent that we do not understand: nothing remembered is trusted.
  if (error instanceof ProtocolError || !(error instanceof ApiError)) return readAfresh;
  if (isTooLargeResourceVersion(error)) return readAfresh;
  if (isExpired(error)) return step.do === 'watch' ? relist : readAfresh;
  if (error.code === 429) return { ...again, atLeastMs: error.retryAfterMs };
  if (needsAPerson.has(error.code)) return { ...readAfresh, pace: 'slow' };
  if (error.code >= 500 && serverErrorsForMs < serverErrorPatienceMs) return { ...again, atLeastMs: error.retryAfterMs };
  return relist;
}
