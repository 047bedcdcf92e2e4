import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createCgroup } from './cgroups.ts';
import { logTail } from './daemon.ts';
import { listen, portOf } from './free-ports.ts';
import { openInsideChannel } from './inside-channel.ts';
import type { LabFolder } from './lab-folder.ts';
import type { StartedLab } from './started-lab.ts';
import { nodeAddress } from './node-machine.ts';
import { apiServerPort } from './node-daemons.ts';

const endTimeoutMs = 5_000;

/** A whole one-node cluster in network, mount, PID, IPC and UTS namespaces of its own. Needs root. */
export async function startNodeLab(folder: LabFolder, auditLog: boolean): Promise<StartedLab> {
  const cgroup = createCgroup(folder);
  const child = spawnInside(folder);
  const ask = openInsideChannel(child);
  const ended = once(child, 'exit').then(() => cgroup.remove());
  const stop = async (): Promise<void> => {
    end(child);
    await ended;
  };
  const apiSocket = await listen(0);
  const server = `https://127.0.0.1:${portOf(apiSocket)}`;
  try {
    await ask({ kind: 'start', stateDir: folder.path, publicServer: server, auditLog, cgroupRoot: cgroup.path });
    await ask({ kind: 'forward', host: nodeAddress, port: apiServerPort }, apiSocket);
  } catch (error) {
    apiSocket.close();
    await stop();
    throw new Error(`the lab did not start: ${error instanceof Error ? error.message : String(error)}\n${folder.log('lab')} ends with:\n${logTail(folder.log('lab'))}`, { cause: error });
  }
  return {
    server,
    ended,
    stop,
    async loadImage(path) {
      if (!existsSync(path)) throw new Error(`${path} does not exist`);
      await ask({ kind: 'load-image', path: resolve(path) });
    },
    async forward(target, port) {
      const socket = await listen(port);
      const localPort = portOf(socket);
      await ask({ kind: 'forward', ...target }, socket);
      return localPort;
    },
  };
}

/**
 * The first process in the namespaces is a shell, because somebody has to reap the orphans; when it ends, the kernel kills all others. It ends
 * when the Node process in it does, when `unshare` does (--kill-child), and that when this process does (--pdeathsig).
 */
function spawnInside(folder: LabFolder): ChildProcess {
  const log = openSync(folder.log('lab'), 'a');
  const namespaces = ['unshare', '--fork', '--kill-child', '--pid', '--mount-proc', '--net', '--mount', '--ipc', '--uts'];
  const inside = ['/bin/sh', '-c', '"$@"; exit $?', 'lab', process.execPath, join(import.meta.dirname, 'inside.ts')];
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...namespaces, '--', ...inside], { cwd: folder.path, stdio: ['ignore', log, log, 'ipc'] });
  closeSync(log);
  return child;
}

/** The process inside ends when the channel closes; `unshare` outlives everything in the namespaces. */
function end(child: ChildProcess): void {
  if (child.connected) child.disconnect();
  const impatience = setTimeout(() => child.kill('SIGKILL'), endTimeoutMs);
  child.once('exit', () => clearTimeout(impatience));
  if (child.exitCode !== null || child.signalCode !== null) clearTimeout(impatience);
}
