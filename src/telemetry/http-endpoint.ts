import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
}

/** A tiny HTTP server for probes and metrics: exact paths, GET only. */
export class HttpEndpoint {
  readonly #server: Server;

  constructor(paths: Readonly<Record<string, () => Answer | Promise<Answer>>>) {
    this.#server = createServer({ requestTimeout: 5_000, headersTimeout: 5_000 }, (request, response) => {
      const answer = request.method === 'GET' ? paths[request.url?.split('?')[0] ?? ''] : undefined;
      const send = ({ status, body, contentType = 'text/plain; charset=utf-8' }: Answer): void => {
        response.writeHead(status, { 'content-type': contentType }).end(body);
      };
      if (!answer) return send({ status: 404, body: 'not found\n' });
      Promise.resolve()
        .then(answer)
        .then(send, (error: unknown) => send({ status: 500, body: `${String(error)}\n` }));
    });
  }

  /** Resolves with the port: another one than asked for where that was 0. */
  async listen(port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject).listen(port, () => resolve());
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}
