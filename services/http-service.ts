import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Histogram, type Registry } from 'prom-client';
import type { GracefulServer } from './graceful-server.ts';
import { RequestRefused, plainText, type HttpAnswer, type Refusal } from './http-answer.ts';
import type { Logger } from './logger.ts';
import { endAfterDraining, hasUnreadBody, readBody } from './request-body.ts';
import { requestTarget, type RequestTarget } from './request-target.ts';

export interface HttpRequest extends RequestTarget {
  readonly method: string;
  /** Throws RequestRefused (413) above the service's limit. */
  readonly readBody: () => Promise<Buffer>;
  /** The client has gone: nobody waits for the answer. */
  readonly isAbandoned: () => boolean;
}

export interface HttpServiceOptions {
  readonly version: string;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly maxBodyBytes: number;
  /** May throw RequestRefused; anything else thrown is answered with 500 and logged. */
  readonly handle: (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>;
  /** How a refusal looks to clients. */
  readonly renderError: (refusal: Refusal) => HttpAnswer;
}

const maxHeaderBytes = 8192;
const maxHeaderCount = 100;
const countedMethods = new Set(['GET', 'HEAD', 'POST']);

/**
 * What every HTTP service here has in common: /healthz, /readyz and /metrics, `x-version`, limits on bodies, headers and
 * time, and an end that loses no request.
 */
export class HttpService implements GracefulServer {
  readonly #server: Server;
  readonly #options: HttpServiceOptions;
  readonly #duration: Histogram<'method' | 'code'>;
  #stopping = false;

  constructor(options: HttpServiceOptions) {
    this.#options = options;
    this.#duration = new Histogram({
      name: 'http_request_duration_seconds',
      help: 'Time from the head of a request to its answer, by method and status code; probes and scrapes are not counted.',
      labelNames: ['method', 'code'],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers: [options.metrics],
    });
    this.#server = createServer(
      {
        maxHeaderSize: maxHeaderBytes,
        headersTimeout: 5000,
        requestTimeout: 10_000,
        connectionsCheckingInterval: 1000,
        // Longer than the hour after which Envoy gives up an idle connection: where the server closes first, a request can be on its way.
        keepAliveTimeout: 65 * 60_000,
      },
      (request, response) => void this.#serve(request, response),
    );
    this.#server.maxConnections = 4096;
  }

  async listen(port: number): Promise<number> {
    this.#server.listen(port);
    await once(this.#server, 'listening');
    const address = this.#server.address();
    return typeof address === 'object' && address ? address.port : port;
  }

  announceStop(): void {
    this.#stopping = true;
  }

  finish(): Promise<void> {
    this.#stopping = true;
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  cut(): void {
    this.#server.closeAllConnections();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedAt = performance.now();
    const target = requestTarget(request.url ?? '');
    const common = target && (await this.#commonAnswer(request, target.path));
    const answer = common ?? (await this.#answer(request, target));
    this.#send(request, response, answer);
    if (common) return;
    const method = request.method ?? '';
    this.#duration.observe({ method: countedMethods.has(method) ? method : 'other', code: answer.status }, (performance.now() - startedAt) / 1000);
  }

  async #commonAnswer(request: IncomingMessage, path: string): Promise<HttpAnswer | undefined> {
    if (request.method !== 'GET' && request.method !== 'HEAD') return undefined;
    switch (path) {
      case '/healthz':
        return plainText(200, 'ok\n');
      case '/readyz':
        return this.#stopping ? plainText(503, 'stopping\n') : plainText(200, 'ok\n');
      case '/metrics':
        return { status: 200, body: await this.#options.metrics.metrics(), headers: { 'content-type': this.#options.metrics.contentType } };
      default:
        return undefined;
    }
  }

  async #answer(request: IncomingMessage, target: RequestTarget | undefined): Promise<HttpAnswer> {
    const { handle, log, maxBodyBytes, renderError } = this.#options;
    if (!target) return renderError({ status: 400, message: 'the request target must be a path' });
    if (request.rawHeaders.length > 2 * maxHeaderCount) return renderError({ status: 431, message: `at most ${maxHeaderCount} headers are accepted` });
    try {
      return await handle({
        ...target,
        method: request.method ?? '',
        readBody: () => readBody(request, maxBodyBytes),
        isAbandoned: () => request.socket.destroyed,
      });
    } catch (error) {
      if (error instanceof RequestRefused) return renderError(error.refusal);
      if (!request.socket.destroyed) log.error('request failed', { method: request.method, error });
      return renderError({ status: 500, message: 'internal error' });
    }
  }

  #send(request: IncomingMessage, response: ServerResponse, { status, body, headers }: HttpAnswer): void {
    const unread = hasUnreadBody(request);
    response.writeHead(status, {
      'content-length': Buffer.byteLength(body),
      'x-content-type-options': 'nosniff',
      'x-version': this.#options.version,
      ...headers,
      ...(unread || this.#stopping ? { connection: 'close' } : {}),
    });
    if (unread) endAfterDraining(request, response, body);
    else response.end(body);
  }
}
