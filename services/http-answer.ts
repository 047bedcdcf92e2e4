export type Headers = Readonly<Record<string, string>>;

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers: Headers;
}

export interface Refusal {
  readonly status: number;
  /** Says what was wrong and what to do. */
  readonly message: string;
  /** The field of the body that was wrong. */
  readonly field?: string;
  readonly headers?: Headers;
}

/** Thrown where a request ends early; the service renders it in its own format. */
export class RequestRefused extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

export function plainText(status: number, body: string, headers: Headers = {}): HttpAnswer {
  return { status, body, headers: { 'content-type': 'text/plain; charset=utf-8', ...headers } };
}

export function json(status: number, value: unknown, headers: Headers = {}): HttpAnswer {
  return { status, body: `${JSON.stringify(value)}\n`, headers: { 'content-type': 'application/json', ...headers } };
}

export function textError({ status, message, headers }: Refusal): HttpAnswer {
  return plainText(status, `${message}\n`, headers);
}

/** `{error, field?}`. */
export function jsonError({ status, message, field, headers }: Refusal): HttpAnswer {
  return json(status, { error: message, field }, headers);
}
