import { setTimeout as delay } from 'node:timers/promises';
import { logTail } from './daemon.ts';
import type { Daemon } from './daemon.ts';

export interface Wait {
  /** What is waited for, for the error message: "the API server is ready". */
  readonly what: string;
  readonly timeoutMs: number;
  /** The wait fails at once when one of these ends. */
  readonly daemons?: readonly Daemon[];
}

const intervalMs = 50;

/** Waits until `probe` answers true. A probe that throws counts as false; its last error is named when the time is up. */
export async function waitUntil(probe: () => Promise<boolean>, wait: Wait): Promise<void> {
  const deadline = performance.now() + wait.timeoutMs;
  let problem = '';
  while (performance.now() < deadline) {
    const fallen = wait.daemons?.find(({ restarts }) => restarts > 0);
    if (fallen !== undefined) throw new Error(`${fallen.name} ended while the lab waited until ${wait.what}; ${fallen.logPath} ends with:\n${logTail(fallen.logPath)}`);
    try {
      if (await probe()) return;
      problem = '';
    } catch (error) {
      problem = `: ${String(error)}`;
    }
    await delay(intervalMs);
  }
  throw new Error(`waited ${wait.timeoutMs / 1000} s in vain until ${wait.what}${problem}`);
}
