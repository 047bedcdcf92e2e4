import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Environment } from './service-settings.ts';

/** For tests: a service as a process of its own, with all that it wrote. */
export interface ServiceProcess extends AsyncDisposable {
  readonly port: number;
  /** The port of `/metrics` where that is another one. */
  readonly metricsPort: number;
  readonly output: () => string;
  /** Sends the signal; resolves with the exit code, or the signal's name where that ended it. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | string>;
}

/** Runs an entry point on ports that the system chooses; rejects with its output where it ends before it listens. */
export async function startService(entry: string, env: Environment = {}): Promise<ServiceProcess> {
  const child = spawn(process.execPath, [entry], {
    env: { PATH: process.env['PATH'], PORT: '0', METRICS_PORT: '0', STOP_DELAY_MS: '200', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const ended = once(child, 'exit').then(([code, signal]: (number | string | null)[]) => code ?? signal ?? '');
  createInterface(child.stderr).on('line', (line) => lines.push(line));
  const ports = await listeningPorts(child, lines);
  const stop = (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> => {
    child.kill(signal);
    return ended;
  };
  return { ...ports, output: () => lines.join('\n'), stop, [Symbol.asyncDispose]: async () => void (await stop('SIGKILL')) };
}

function listeningPorts(child: ChildProcess, lines: string[]): Promise<{ port: number; metricsPort: number }> {
  return new Promise((resolve, reject) => {
    if (!child.stdout) return reject(new Error('no stdout'));
    let metricsPort = 0;
    createInterface(child.stdout).on('line', (line) => {
      lines.push(line);
      const { message, port } = JSON.parse(line);
      if (message === 'serving metrics') metricsPort = port;
      if (message === 'listening') resolve({ port, metricsPort });
    });
    child.once('close', () => reject(new Error(`the service ended before it listened:\n${lines.join('\n')}`)));
  });
}
