/** The four ends of a pass. Only engine/ interprets them. */
export type Outcome =
  /** Nothing to do until the next event. */
  | { readonly kind: 'settled' }
  /** Come back after `afterMs` even if no event arrives. */
  | { readonly kind: 'waiting'; readonly afterMs: number }
  /** A person has to act; retrying would not help. The next event decides. */
  | { readonly kind: 'stalled'; readonly reason: string }
  /** Retry with backoff; not before `retryAfterMs` where the server named a delay. */
  | { readonly kind: 'failed'; readonly error: unknown; readonly retryAfterMs?: number };

export const settled: Outcome = { kind: 'settled' };
