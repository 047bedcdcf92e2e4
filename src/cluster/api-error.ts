/** One thing that the API server found wrong: details.causes of a Status. */
export interface StatusCause {
  readonly reason?: string;
  /** A JSON path such as `spec.ports[0].port`. */
  readonly field?: string;
  readonly message?: string;
}

/** The parts of meta/v1 Status that we read. */
export interface Status {
  readonly kind: 'Status';
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly causes?: readonly StatusCause[]; readonly retryAfterSeconds?: number };
}

/** The API server said no. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** The HTTP status code. */
  readonly code: number;
  /** `NotFound`, `Conflict`, `Invalid`, ...; empty if the answer was not a Status. */
  readonly reason: string;
  /** What the server wrote, without our own prefix. */
  readonly statusMessage: string;
  readonly causes: readonly StatusCause[];
  readonly retryAfterMs: number | undefined;

  constructor(code: number, status: Partial<Status>, what: string, retryAfterMs?: number) {
    const { reason = '', message = 'no message' } = status;
    super(`${what}: ${code} ${reason}: ${message}`);
    this.code = code;
    this.statusMessage = message;
    this.reason = reason;
    this.causes = status.details?.causes ?? [];
    const seconds = status.details?.retryAfterSeconds;
    this.retryAfterMs = retryAfterMs ?? (seconds === undefined ? undefined : seconds * 1000);
  }
}

/** Something that we need has the name, but is not ours to change. */
export class NotOursError extends Error {
  override readonly name = 'NotOursError';
}

/** No answer: refused, reset, timed out, broken off. Whether a write took place is unknown. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
}

/** An answer that does not keep to the protocol, or is larger than we accept. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

const has = (error: unknown, code: number): boolean => error instanceof ApiError && error.code === code;

export const isNotFound = (error: unknown): boolean => has(error, 404);
export const isConflict = (error: unknown): boolean => has(error, 409);
/** The version is older than the server remembers. */
export const isExpired = (error: unknown): boolean => has(error, 410);

/** The version is newer than this server has seen: a normal answer where several API servers stand behind one address. */
export const isTooLargeResourceVersion = (error: unknown): boolean =>
  error instanceof ApiError && error.code === 504 && (error.causes.some((cause) => cause.reason === 'ResourceVersionTooLarge') || error.message.includes('Too large resource version'));

/** The object of this name is not the one whose uid was sent. Server-side apply calls that an invalid change of the uid. */
export const isUidMismatch = (error: unknown): error is ApiError => error instanceof ApiError && error.code === 422 && error.causes.some((cause) => cause.field === 'metadata.uid');

/** An error from an answer's body: a Status, or whatever a proxy wrote. */
export function apiErrorFrom(what: string, code: number, body: string, retryAfter?: string): ApiError {
  const retryAfterMs = retryAfter !== undefined && /^[0-9]+$/.test(retryAfter) ? Number(retryAfter) * 1000 : undefined;
  return new ApiError(code, statusFrom(body), what, retryAfterMs);
}

function statusFrom(body: string): Partial<Status> {
  try {
    const parsed: Partial<Status> | null = JSON.parse(body);
    if (parsed?.kind === 'Status') return parsed;
  } catch {
    // Not JSON: the text itself is the message.
  }
  return { message: body.slice(0, 500) };
}
