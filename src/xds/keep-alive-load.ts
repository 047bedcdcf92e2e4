/** For tests: requests without a pause over kept-alive connections; counts who answered and everything that went wrong. */
import { Agent, request } from 'node:http';

export class KeepAliveLoad {
  /** Answer to count. */
  readonly answers = new Map<string, number>();
  readonly failures: string[] = [];
  /** New connections that were refused, which is how a drained proxy says goodbye. */
  refused = 0;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #port: number;
  #running = true;
  readonly #clients: Promise<void>[];

  constructor(port: number, clients: number) {
    this.#port = port;
    this.#clients = Array.from({ length: clients }, () => this.#client());
  }

  get count(): number {
    return [...this.answers.values()].reduce((sum, count) => sum + count, 0);
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#clients);
    this.#agent.destroy();
  }

  async #client(): Promise<void> {
    while (this.#running && this.refused === 0) await this.#once();
  }

  #once(): Promise<void> {
    return new Promise((resolve) => {
      const call = request({ port: this.#port, host: '127.0.0.1', agent: this.#agent }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => {
          if (response.statusCode === 200) this.answers.set(body, (this.answers.get(body) ?? 0) + 1);
          else this.failures.push(`${response.statusCode} ${body}`);
          resolve();
        });
        response.on('error', (error) => {
          this.failures.push(String(error));
          resolve();
        });
      });
      call.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNREFUSED') this.refused += 1;
        else this.failures.push(`${error.code} reused=${call.reusedSocket}`);
        resolve();
      });
      call.end();
    });
  }
}
