/**
 * HTTP to the API server: JSON in and out, typed errors, timeouts, retries. The only place that sends a request.
 * Knows nothing of kinds; never retries what might then happen twice.
 */
import type { Dispatcher } from 'undici';
import { pause, systemClock, type Clock } from '../engine/clock.ts';
import { deadline } from '../engine/deadline.ts';
import { ApiError, apiErrorFrom, ConnectionError, ProtocolError } from './api-error.ts';
import { Connection, type CredentialSource } from './connection.ts';

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface ApiRequest {
  readonly method: Method;
  readonly path: string;
  readonly query?: Query;
  readonly body?: unknown;
  /** Default application/json. */
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
  /** For everything, retries included. Default 30 s. */
  readonly timeoutMs?: number;
  /** Doing it twice is the same as doing it once: it is retried when the connection breaks. Default: GET only. */
  readonly idempotent?: boolean;
}

export interface WatchRequest {
  readonly path: string;
  readonly query: Query;
  readonly signal: AbortSignal;
  /** No byte for this long means that the peer is dead. */
  readonly inactivityMs: number;
}

export interface TransportObserver {
  /** One attempt. `code` is 0 if there was no answer; of a watch, the time is that to its headers. */
  readonly answered: (attempt: { readonly method: Method; readonly path: string; readonly watch: boolean; readonly code: number; readonly durationMs: number }) => void;
}

export interface TransportOptions {
  readonly credentials: CredentialSource;
  /** Of the program, for the User-Agent that audit logs show. */
  readonly version: string;
  readonly observer?: TransportObserver;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly maxSockets?: number;
  readonly allowH2?: boolean;
  /** Fails a larger answer instead of running out of memory. Default 64 MiB. */
  readonly maxAnswerBytes?: number;
}

/** Unchecked: the API server has validated what it stores. */
type Json = ReturnType<typeof JSON.parse>;

interface Send {
  readonly method: Method;
  readonly path: string;
  readonly query?: Query | undefined;
  readonly body?: unknown;
  readonly contentType?: string | undefined;
  readonly signal: AbortSignal;
  readonly inactivityMs: number;
  readonly watch: boolean;
}

const defaultTimeoutMs = 30_000;
const connectionRetries = 2;
const throttleRetries = 5;

export class Transport {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #observer: TransportObserver | undefined;
  readonly #userAgent: string;
  readonly #maxAnswerBytes: number;

  constructor(options: TransportOptions) {
    const { credentials, maxSockets = 64, allowH2 = false } = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#observer = options.observer;
    this.#userAgent = `microservice-operator/${options.version}`;
    this.#maxAnswerBytes = options.maxAnswerBytes ?? 64 * 1024 * 1024;
    this.#connection = new Connection({ credentials, clock: this.#clock, maxSockets, allowH2 });
  }

  /** The parsed answer; throws ApiError, ConnectionError, ProtocolError, or the reason of `signal`. */
  async request<T>(request: ApiRequest): Promise<T> {
    const { method, path, timeoutMs = defaultTimeoutMs } = request;
    const reason = (): Error => new ConnectionError(`${method} ${path}: no answer within ${timeoutMs} ms`);
    const limit = deadline({ clock: this.#clock, timeoutMs, parent: request.signal, reason });
    const untilMs = this.#clock.nowMs() + timeoutMs;
    try {
      for (let attempt = 0; ; attempt += 1) {
        const answer = await this.#attempt(request, limit.signal);
        if (!answer.error) return answer.json;
        const delayMs = this.#retryDelayMs(request, answer.error, attempt);
        if (delayMs === undefined || this.#clock.nowMs() + delayMs >= untilMs) throw answer.error;
        await pause(this.#clock, delayMs, limit.signal);
        limit.signal.throwIfAborted();
      }
    } finally {
      limit.clear();
    }
  }

  /** Resolves when the server has accepted the watch. No retries: the reflector decides. */
  async watch({ path, query, signal, inactivityMs }: WatchRequest): Promise<AsyncIterable<Buffer>> {
    const response = await this.#send({ method: 'GET', path, query, signal, inactivityMs, watch: true });
    return chunksOf(response.body, `watch ${path}`, signal);
  }

  /** Breaks off whatever is in flight. */
  async close(): Promise<void> {
    await this.#connection.close();
  }

  async #attempt(request: ApiRequest, signal: AbortSignal): Promise<{ json: Json; error?: never } | { error: Error }> {
    try {
      const { method, path, query, body, contentType } = request;
      const response = await this.#send({ method, path, query, body, contentType, signal, inactivityMs: defaultTimeoutMs, watch: false });
      return { json: parse(await this.#text(response, `${method} ${path}`, signal), `${method} ${path}`) };
    } catch (error) {
      if (error instanceof ApiError || (error instanceof ConnectionError && !signal.aborted)) return { error };
      throw error;
    }
  }

  /** Waiting is worth it if the server said when to come back, or if the connection broke and a repetition does no harm. */
  #retryDelayMs({ method, idempotent = method === 'GET' }: ApiRequest, error: Error, attempt: number): number | undefined {
    const jitter = 1 + this.#random() / 4;
    if (error instanceof ApiError) {
      // A 429 was not processed; a 503 may come from a proxy that had passed the request on.
      const mayRepeat = error.code === 429 || (error.code === 503 && idempotent);
      return mayRepeat && error.retryAfterMs !== undefined && attempt < throttleRetries ? error.retryAfterMs * jitter : undefined;
    }
    return idempotent && attempt < connectionRetries ? 100 * 2 ** attempt * jitter : undefined;
  }

  /** An accepted answer. A 401 is tried once more with fresh credentials. */
  async #send(send: Send): Promise<Dispatcher.ResponseData> {
    const first = await this.#sendOnce(send);
    if (first.statusCode !== 401) return this.#accepted(first, send);
    await first.body.dump();
    await this.#connection.renew();
    return this.#accepted(await this.#sendOnce(send), send);
  }

  async #accepted(response: Dispatcher.ResponseData, { method, path, signal }: Send): Promise<Dispatcher.ResponseData> {
    if (response.statusCode < 300) return response;
    const retryAfter = response.headers['retry-after'];
    const text = await this.#text(response, `${method} ${path}`, signal);
    throw apiErrorFrom(`${method} ${path}`, response.statusCode, text, typeof retryAfter === 'string' ? retryAfter : undefined);
  }

  async #sendOnce(send: Send): Promise<Dispatcher.ResponseData> {
    const { method, path, watch } = send;
    const { agent, credentials } = await this.#connection.session();
    const startedMs = this.#clock.nowMs();
    const answered = (code: number): void => this.#observer?.answered({ method, path, watch, code, durationMs: this.#clock.nowMs() - startedMs });
    try {
      const response = await agent.request({ ...this.#dispatch(send, credentials.server), headers: this.#headers(send, credentials.headers) });
      answered(response.statusCode);
      return response;
    } catch (error) {
      answered(0);
      throw connectionError(`${method} ${path}`, error, send.signal);
    }
  }

  #dispatch({ method, path, query, body, signal, inactivityMs }: Send, server: string): Dispatcher.RequestOptions {
    const url = new URL(server);
    return {
      origin: url.origin,
      path: `${url.pathname.replace(/\/$/, '')}${path}${queryString(query)}`,
      method,
      body: body === undefined ? null : JSON.stringify(body),
      signal,
      bodyTimeout: inactivityMs,
    };
  }

  #headers({ body, contentType }: Send, credentials: Readonly<Record<string, string>>): Record<string, string> {
    const content = body === undefined ? {} : { 'content-type': contentType ?? 'application/json' };
    return { accept: 'application/json', 'user-agent': this.#userAgent, ...content, ...credentials };
  }

  async #text(response: Dispatcher.ResponseData, what: string, signal: AbortSignal): Promise<string> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of chunksOf(response.body, what, signal)) {
      bytes += chunk.length;
      if (bytes > this.#maxAnswerBytes) throw new ProtocolError(`${what}: the answer is larger than ${this.#maxAnswerBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }
}

async function* chunksOf(body: AsyncIterable<Buffer>, what: string, signal: AbortSignal): AsyncGenerator<Buffer> {
  try {
    yield* body;
  } catch (error) {
    throw connectionError(what, error, signal);
  }
}

/** An abort by the caller stays what it is. */
function connectionError(what: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof ConnectionError) return error;
  return new ConnectionError(`${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}

function parse(text: string, what: string): Json {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ProtocolError(`${what}: the answer is not JSON: ${text.slice(0, 200)}`, { cause: error });
  }
}

function queryString(query: Query = {}): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) given.set(name, String(value));
  return given.size === 0 ? '' : `?${given.toString()}`;
}
