import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LabFolder } from './lab-folder.ts';

const root = '/sys/fs/cgroup';

/** The cgroup of one lab, in every hierarchy of the machine. */
export interface Cgroup {
  /** As the kubelet's `cgroupRoot` names it. */
  readonly path: string;
  /** Removes it, once everything in it has ended. */
  remove(): Promise<void>;
}

/**
 * Creates the cgroup of a lab, and before it the small process that removes it when this one has ended, even by kill -9: it has a session
 * of its own and waits for the end of a pipe that only this process holds.
 */
export function createCgroup(folder: LabFolder): Cgroup {
  const name = cgroupName(folder);
  const paths = hierarchies().map((hierarchy) => join(hierarchy, name));
  const watcher = spawn('/bin/sh', ['-c', removal, 'lab-cgroups', ...paths], { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  const ended = once(watcher, 'exit');
  try {
    enableControllers();
    for (const path of paths) mkdirSync(path, { recursive: true });
  } catch (error) {
    watcher.stdin.end();
    throw new Error(`cgroups cannot be created in ${root} (${String(error)}). In a container: start it with --privileged --cgroupns=host`, { cause: error });
  }
  return {
    path: `/${name}`,
    async remove() {
      watcher.stdin.end();
      const [code] = await ended;
      if (code !== 0) throw new Error(`processes are left in ${paths.join(' ')}`);
    },
  };
}

/** Equal for the same folder, so that what a lab left behind would be found again. */
export function cgroupName(folder: LabFolder): string {
  return `lab-${createHash('sha256').update(folder.path).digest('hex').slice(0, 12)}`;
}

// A cgroup with a process in it cannot be removed; the last ones of a killed namespace need a moment.
const removal = `
cat >/dev/null
tries=200
while [ $tries -gt 0 ]; do
  left=0
  for folder in "$@"; do
    if [ -d "$folder" ]; then find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || left=1; fi
  done
  if [ $left = 0 ]; then exit 0; fi
  tries=$((tries - 1))
  sleep 0.05
done
exit 1`;

/** The folders below which a lab's cgroup has to exist: one for version 2, one for each controller in version 1. */
export function hierarchies(): string[] {
  if (existsSync(join(root, 'cgroup.controllers'))) return [root];
  return readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => join(root, entry.name));
}

/** Version 2 only; where systemd runs, they are on already, but for cpuset. */
function enableControllers(): void {
  if (!existsSync(join(root, 'cgroup.controllers'))) return;
  const controllers = readFileSync(join(root, 'cgroup.controllers'), 'utf8').trim().split(' ');
  const enabled = readFileSync(join(root, 'cgroup.subtree_control'), 'utf8').trim().split(' ');
  const missing = ['cpu', 'cpuset', 'memory', 'pids'].filter((name) => controllers.includes(name) && !enabled.includes(name));
  for (const name of missing) writeFileSync(join(root, 'cgroup.subtree_control'), `+${name}`);
}
