import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { freePorts } from '../lab/free-ports.ts';
import { eventually } from '../src/engine/eventually.ts';

export interface OperatorProcessOptions {
  readonly kubeconfigPath: string;
  readonly namespace: string;
  /** Begins the holder's name in the Lease. */
  readonly podName: string;
  /** Only the leader listens, so all replicas can be given the same; it is a part of what the proxies are started with. */
  readonly xdsPort: number;
}

/** One line of the operator's log. */
export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly key?: string;
  readonly [field: string]: unknown;
}

/** The operator from source, as a child of this process. */
export class OperatorProcess {
  readonly log: LogLine[] = [];
  /** What it printed that is no line of its log. */
  readonly noise: string[] = [];
  readonly ports: { readonly metrics: number; readonly probes: number };
  /** The exit code, or the name of the signal that ended it. */
  readonly exit: Promise<number | string>;
  readonly #child: ChildProcess;

  constructor({ kubeconfigPath, namespace, podName, xdsPort }: OperatorProcessOptions, ports: OperatorProcess['ports']) {
    this.ports = ports;
    const flags = { namespace, 'xds-port': xdsPort, 'metrics-port': ports.metrics, 'probe-port': ports.probes, 'log-level': 'debug' };
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    this.#child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'src/main.ts', ...args], {
      env: { ...process.env, KUBECONFIG: kubeconfigPath, POD_NAME: podName },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) if (stream) createInterface({ input: stream }).on('line', (line) => this.#heard(line));
    this.exit = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'));
    });
    process.once('exit', () => this.#child.kill('SIGKILL'));
  }

  /** Resolves when its caches are warm, leading or not. */
  static async start(options: OperatorProcessOptions): Promise<OperatorProcess> {
    const [metrics = 0, probes = 0] = await freePorts(2);
    const operator = new OperatorProcess(options, { metrics, probes });
    await eventually(async () => (await operator.ask('probes', '/readyz')).status === 200, 20_000);
    return operator;
  }

  async ask(port: 'metrics' | 'probes', path: string): Promise<{ readonly status: number; readonly text: string }> {
    const response = await fetch(`http://127.0.0.1:${this.ports[port]}${path}`);
    return { status: response.status, text: await response.text() };
  }

  /** When each pass of one key ended, by Date.now(). */
  passes(key: string): readonly number[] {
    return this.log.filter((line) => line.key === key && typeof line['outcome'] === 'string').map((line) => Date.parse(String(line['time'])));
  }

  /** Resolves with how it ended and how long that took. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<{ readonly exit: number | string; readonly tookMs: number }> {
    const startedMs = performance.now();
    this.#child.kill(signal);
    return { exit: await this.exit, tookMs: performance.now() - startedMs };
  }

  #heard(line: string): void {
    try {
      this.log.push(JSON.parse(line));
    } catch {
      this.noise.push(line);
    }
  }
}
