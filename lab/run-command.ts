import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; resolves with any exit code (128 and more for a signal) and rejects where it cannot be started. */
export async function runCommand(command: readonly string[], stdin?: string): Promise<CommandResult> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 128));
  });
  child.stdin.once('error', () => undefined); // a program need not read its input
  child.stdin.end(stdin);
  const [code, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  return { code, stdout, stderr };
}

/** Runs a program that has to succeed, and answers what it printed. */
export async function mustRun(command: readonly string[], stdin?: string): Promise<string> {
  const { code, stdout, stderr } = await runCommand(command, stdin);
  if (code !== 0) throw new Error(`${command.join(' ')}: exit code ${code}\n${stderr}${stdout}`);
  return stdout;
}
