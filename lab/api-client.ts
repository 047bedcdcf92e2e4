import { Agent, request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

/** Where an API server is, how to recognise it, and who is asking. */
export interface ApiAccess {
  readonly server: string;
  readonly caPem: string;
  readonly token: string;
}

interface ApiCall {
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
}

interface ApiAnswer {
  readonly status: number;
  readonly body: string;
}

/** The lab's own minimal client: it must not share a mistake with the client that it is there to test. */
export interface ApiClient {
  /** Resolves with any HTTP status. A PATCH is a JSON merge patch. */
  call(call: ApiCall): Promise<ApiAnswer>;
  /** The JSON of a 2xx answer; rejects with the server's words otherwise. */
  json<T>(call: ApiCall): Promise<T>;
  /** Hands over each line of a watch; resolves when the server ends it. */
  watch(path: string, line: (entry: string) => void): Promise<void>;
  close(): void;
}

export function createApiClient(access: ApiAccess): ApiClient {
  const agent = new Agent({ keepAlive: true, ca: access.caPem });

  function send({ method = 'GET', path, body }: ApiCall): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const payload = body === undefined ? '' : JSON.stringify(body);
      const headers = {
        // Node leaves it out for a DELETE, and the body would be taken for the next request.
        'content-length': Buffer.byteLength(payload),
        authorization: `Bearer ${access.token}`,
        'user-agent': 'lab',
        ...(body === undefined ? {} : { 'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' }),
      };
      const sent = request(new URL(path, access.server), { agent, method, headers }, resolve);
      sent.once('error', reject);
      sent.end(payload);
    });
  }

  async function call(wanted: ApiCall): Promise<ApiAnswer> {
    const response = await send(wanted);
    return { status: response.statusCode ?? 0, body: await text(response) };
  }

  async function json<T>(wanted: ApiCall): Promise<T> {
    const { status, body } = await call(wanted);
    if (status < 200 || status > 299) throw new Error(`${wanted.method ?? 'GET'} ${wanted.path}: HTTP ${status} ${body}`);
    const parsed: T = JSON.parse(body);
    return parsed;
  }

  async function watch(path: string, line: (entry: string) => void): Promise<void> {
    for await (const entry of createInterface({ input: await send({ path }) })) line(entry);
  }

  return { call, json, watch, close: () => agent.destroy() };
}
