import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { listenForControl, writeToken } from './control.ts';
import type { ControlAnswer, ControlRequest } from './control.ts';
import { openLabFolder } from './lab-folder.ts';
import { startLab } from './lab.ts';
import type { Lab, LabOptions } from './lab.ts';

/** What the supervisor tells the process that started it. */
export type SupervisorMessage = { readonly kind: 'running' } | { readonly kind: 'failed'; readonly message: string };

/** Keeps a lab for as long as this process lives: until it is asked to stop, gets a signal, or the lab ends. */
export async function supervise(options: LabOptions & { readonly stateDir: string }): Promise<void> {
  let lab: Lab | undefined;
  const handle = async (wanted: ControlRequest): Promise<ControlAnswer> => {
    const status = { state: lab === undefined ? 'starting' : 'running', profile: options.profile, pid: process.pid } as const;
    if (wanted.kind === 'status') return status;
    if (lab === undefined) throw new Error('the lab is still starting');
    return { ...status, ...(await act(lab, wanted)) };
  };
  const token = randomBytes(24).toString('hex');
  const control = await listenForControl(options.stateDir, token, handle);
  try {
    lab = await startLab(options);
    writeToken(options.stateDir, token);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void lab?.stop());
    tell({ kind: 'running' });
    await lab.ended;
    keepLogsOnly(options.stateDir);
  } catch (error) {
    tell({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
  }
  control.close();
  control.closeAllConnections();
}

async function act(lab: Lab, wanted: Exclude<ControlRequest, { kind: 'status' }>): Promise<{ port?: number }> {
  if (wanted.kind === 'publish') return { port: await lab.publish(wanted, wanted.localPort) };
  if (wanted.kind === 'load-image') await lab.loadImage(wanted.path);
  else void lab.stop(); // the end of this process is the answer
  return {};
}

// The starter may be gone by now; it ends the channel when it has heard.
function tell(message: SupervisorMessage): void {
  if (process.connected) process.send?.(message);
}

/** Images and volumes are large; the logs are what somebody may still want to read. */
function keepLogsOnly(stateDir: string): void {
  for (const entry of readdirSync(stateDir)) if (entry !== 'logs' && entry !== 'audit.log') rmSync(openLabFolder(stateDir).file(entry), { recursive: true, force: true });
}
