import type { ChildProcess } from 'node:child_process';
import type { Server } from 'node:net';

/** What the process outside of the lab's namespaces asks of the one inside. */
type InsideRequest =
  | { readonly kind: 'start'; readonly stateDir: string; readonly publicServer: string; readonly auditLog: boolean; readonly cgroupRoot: string }
  /** Comes with a listening socket; each of its connections is joined to a new one to this place, which is looked up in the cluster's DNS. */
  | { readonly kind: 'forward'; readonly host: string; readonly port: number }
  | { readonly kind: 'load-image'; readonly path: string };

export type NumberedRequest = InsideRequest & { readonly id: number };

export interface InsideAnswer {
  readonly id: number;
  readonly error?: string;
}

/** Asks, and resolves when it is done; rejects with the other side's words, or when the other side has ended. A socket is given away. */
export type AskInside = (request: InsideRequest, socket?: Server) => Promise<void>;

export function openInsideChannel(child: ChildProcess): AskInside {
  const waiting = new Map<number, { resolve(): void; reject(error: Error): void }>();
  let lastId = 0;
  child.on('message', ({ id, error }: InsideAnswer) => {
    const waiter = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) waiter?.resolve();
    else waiter?.reject(new Error(error));
  });
  child.on('exit', (code, signal) => {
    for (const waiter of waiting.values()) waiter.reject(new Error(`the lab ended: ${signal ?? `exit code ${code}`}`));
    waiting.clear();
  });
  return (request, socket) =>
    new Promise((resolve, reject) => {
      lastId += 1;
      waiting.set(lastId, { resolve, reject });
      child.send({ ...request, id: lastId } satisfies NumberedRequest, socket, (error) => {
        socket?.close(); // the other side has a copy
        if (error !== null) reject(error);
      });
    });
}
