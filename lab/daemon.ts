import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** A program of the lab and the file that its output goes to. */
export interface DaemonSpec {
  readonly name: string;
  readonly command: readonly string[];
  readonly logPath: string;
  /** Replaces the environment, which otherwise is the caller's. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Daemon {
  readonly name: string;
  readonly logPath: string;
  readonly pid: number | undefined;
  /** How often the program has ended and was started again. */
  readonly restarts: number;
  /** Kills the program and waits for its end. State is thrown away with the lab, so nothing is worth a graceful end. */
  stop(): Promise<void>;
}

const restartDelayMs = 500;

/** Keeps a program running until it is stopped. It dies with this process, however that ends (prctl PR_SET_PDEATHSIG). */
export function startDaemon(spec: DaemonSpec): Daemon {
  let stopped = false;
  let restarts = 0;
  let child = spawnDaemon(spec);
  const running = keepRunning();

  async function keepRunning(): Promise<void> {
    for (;;) {
      await exit(child);
      if (stopped) return;
      restarts += 1;
      await delay(restartDelayMs);
      if (stopped) return;
      child = spawnDaemon(spec);
    }
  }

  return {
    name: spec.name,
    logPath: spec.logPath,
    get pid() {
      return child.pid;
    },
    get restarts() {
      return restarts;
    },
    stop() {
      stopped = true;
      child.kill('SIGKILL');
      return running;
    },
  };
}

/** The last lines of a log, for an error message. */
export function logTail(logPath: string, lines = 8): string {
  return readFileSync(logPath, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}

function spawnDaemon(spec: DaemonSpec): ChildProcess {
  const log = openSync(spec.logPath, 'a');
  // The death signal follows the thread that forks, which in Node is the main thread; a worker thread must not call this.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...spec.command], {
    cwd: dirname(spec.logPath),
    stdio: ['ignore', log, log],
    ...(spec.environment === undefined ? {} : { env: spec.environment }),
  });
  closeSync(log);
  return child;
}

function exit(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
}
