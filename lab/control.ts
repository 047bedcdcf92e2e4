import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { openLabFolder } from './lab-folder.ts';
import type { Profile } from './started-lab.ts';

/** What can be asked of a lab's supervisor. */
export type ControlRequest =
  | { readonly kind: 'status' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'load-image'; readonly path: string }
  | { readonly kind: 'publish'; readonly namespace: string; readonly name: string; readonly port: number; readonly localPort: number };

export interface ControlAnswer {
  readonly state: 'starting' | 'running';
  readonly profile: Profile;
  /** Of the supervisor. */
  readonly pid: number;
  /** Of a `publish` request. */
  readonly port?: number;
}

const tokenFile = 'control-token';

/**
 * Listens on a socket whose name stands for the lab's folder. Its name is abstract (unix(7)): no file, gone with the process, at most one holder,
 * so it is also the lock of the folder. Such a socket has no owner, so everything but `status` needs the token.
 */
export async function listenForControl(stateDir: string, token: string, handle: (wanted: ControlRequest) => Promise<ControlAnswer>): Promise<Server> {
  const server = createServer((incoming, outgoing) => void respond(incoming, outgoing));
  async function respond(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    try {
      const wanted: ControlRequest = JSON.parse(await text(incoming));
      if (wanted.kind !== 'status' && incoming.headers.authorization !== `Bearer ${token}`) throw new Error('only the user who started the lab may do that');
      outgoing.end(JSON.stringify(await handle(wanted)));
    } catch (error) {
      outgoing.writeHead(500).end(error instanceof Error ? error.message : String(error));
    }
  }
  server.listen(socketName(stateDir));
  await once(server, 'listening');
  return server;
}

export function writeToken(stateDir: string, token: string): void {
  openLabFolder(stateDir).write(tokenFile, token);
}

/** Resolves with undefined where no supervisor is running; rejects with its words where it could not do it. */
export async function askSupervisor(stateDir: string, wanted: ControlRequest): Promise<ControlAnswer | undefined> {
  const response = await send(stateDir, wanted).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNREFUSED') return undefined;
    throw error;
  });
  if (response === undefined) return undefined;
  const body = await text(response);
  if (response.statusCode !== 200) throw new Error(body);
  const answer: ControlAnswer = JSON.parse(body);
  return answer;
}

function send(stateDir: string, wanted: ControlRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath: socketName(stateDir), method: 'POST', headers: { authorization: `Bearer ${readToken(stateDir)}` } }, resolve);
    sent.once('error', reject);
    sent.end(JSON.stringify(wanted));
  });
}

function readToken(stateDir: string): string {
  try {
    return readFileSync(openLabFolder(stateDir).file(tokenFile), 'utf8');
  } catch {
    return '';
  }
}

function socketName(stateDir: string): string {
  return `\0microservice-operator-lab-${createHash('sha256').update(openLabFolder(stateDir).path).digest('hex')}`;
}
