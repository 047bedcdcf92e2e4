import { isDeepStrictEqual } from 'node:util';
import { Agent } from 'undici';
import type { Clock } from '../engine/clock.ts';
import { ConnectionError } from './api-error.ts';

/** What it takes to speak to one cluster. */
export interface Credentials {
  /** Origin and, behind some gateways, a path: `https://10.0.0.1:6443`. */
  readonly server: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsOptions;
}

/** Named as in node:tls. */
export interface TlsOptions {
  readonly ca?: Buffer | string;
  readonly cert?: Buffer | string;
  readonly key?: Buffer | string;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

export interface CredentialSource {
  /** With `afresh`, from the files again: nothing that was cached. */
  read(options: { readonly afresh: boolean }): Promise<Credentials>;
}

export interface ConnectionOptions {
  readonly credentials: CredentialSource;
  readonly clock: Clock;
  /** Upper bound of open sockets; a call beyond it waits. Each watch holds one. */
  readonly maxSockets: number;
  /** HTTP/2 where the server offers it. Off: all calls over one connection would share one API server and its stream limit. */
  readonly allowH2: boolean;
}

export interface Session {
  readonly agent: Agent;
  readonly credentials: Credentials;
}

const refreshMs = 60_000;
const connectTimeoutMs = 5_000;
const headersTimeoutMs = 30_000;

/** The one Agent to the cluster. Credentials are read again each minute; the Agent is replaced only if the TLS part changed. */
export class Connection {
  readonly #options: ConnectionOptions;
  #session: Session | undefined;
  #readMs = 0;
  #reading: Promise<Session> | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  async session(): Promise<Session> {
    if (this.#session && this.#options.clock.nowMs() - this.#readMs < refreshMs) return this.#session;
    return this.#read(false);
  }

  /** After a 401: whatever was cached is no longer good. */
  async renew(): Promise<void> {
    await this.#read(true);
  }

  async close(): Promise<void> {
    await this.#session?.agent.destroy();
  }

  /** One read at a time; all callers share it. */
  async #read(afresh: boolean): Promise<Session> {
    this.#reading ??= this.#readOnce(afresh).finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #readOnce(afresh: boolean): Promise<Session> {
    try {
      const credentials = await this.#options.credentials.read({ afresh });
      this.#session = this.#sessionFor(credentials);
    } catch (error) {
      // A file may be half written right now: the old credentials are worth another minute.
      if (!this.#session) throw new ConnectionError(`cannot read the credentials of the cluster: ${String(error)}`, { cause: error });
    }
    this.#readMs = this.#options.clock.nowMs();
    return this.#session;
  }

  #sessionFor(credentials: Credentials): Session {
    const old = this.#session;
    if (old && old.credentials.server === credentials.server && isDeepStrictEqual(old.credentials.tls, credentials.tls)) {
      return { agent: old.agent, credentials };
    }
    // Calls and watches in flight end on the old Agent by themselves.
    void old?.agent.close();
    const { maxSockets, allowH2 } = this.#options;
    const agent = new Agent({ connections: maxSockets, allowH2, headersTimeout: headersTimeoutMs, connect: { ...credentials.tls, timeout: connectTimeoutMs } });
    return { agent, credentials };
  }
}
