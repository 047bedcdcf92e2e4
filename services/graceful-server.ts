import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import type { Logger } from './logger.ts';

/** A server that can leave without losing a request: `announceStop`, then `finish`; `cut` if that takes too long. */
export interface GracefulServer {
  /** Resolves with the port once connections are accepted; port 0 lets the system choose. */
  listen(port: number): Promise<number>;
  /** Readiness turns false and clients are asked to leave, but every request is still served. */
  announceStop(): void;
  /** Stops accepting and resolves when the last request in flight is answered. */
  finish(): Promise<void>;
  /** Closes every connection at once. */
  cut(): void;
}

export interface StopOptions {
  readonly delayMs: number;
  readonly timeoutMs: number;
  readonly log: Logger;
}

/** Resolves with the name of the first signal; a second one ends the process at once, as without a handler. */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const onSignal = (signal: NodeJS.Signals): void => {
      process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
      resolve(signal);
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  });
}

/** Takes at most `delayMs + timeoutMs`. */
export async function stopGracefully(server: GracefulServer, { delayMs, timeoutMs, log }: StopOptions): Promise<void> {
  server.announceStop();
  await delay(delayMs);
  // Timers come before sockets: what the kernel has taken while the process was busy would be reset with the listening socket.
  await turn();
  const finished = server.finish().then(() => true);
  const timer = new AbortController();
  const timedOut = delay(timeoutMs, false, { signal: timer.signal }).catch(() => true);
  if (!(await Promise.race([finished, timedOut]))) {
    log.warn('requests in flight were cut', { timeoutMs });
    server.cut();
  }
  timer.abort();
}
