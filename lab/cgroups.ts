import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = '/sys/fs/cgroup';

/** The cgroup of one lab, in every hierarchy of the machine. */
export interface Cgroup {
  /** As the kubelet's `cgroupRoot` names it. */
  readonly path: string;
  /** Removes it, once everything in it has ended. */
  remove(): Promise<void>;
}

/**
 * Creates the cgroup and the small process that removes it when this one has ended, even by kill -9: it has a session of its own
 * and waits for the end of a pipe that only this process holds.
 */
export function createCgroup(name: string): Cgroup {
  const folders = hierarchies().map((hierarchy) => join(hierarchy, name));
  for (const folder of folders) mkdirSync(folder, { recursive: true });
  const watcher = spawn('/bin/sh', ['-c', removal, 'lab-cgroups', ...folders], { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  const ended = once(watcher, 'exit');
  return {
    path: `/${name}`,
    async remove() {
      watcher.stdin.end();
      const [code] = await ended;
      if (code !== 0) throw new Error(`processes are left in the cgroup ${name}: ${folders.join(' ')}`);
    },
  };
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
function hierarchies(): string[] {
  if (existsSync(join(root, 'cgroup.controllers'))) {
    enableControllers();
    return [root];
  }
  return readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => join(root, entry.name));
}

// Where systemd runs these are on already, but for cpuset.
function enableControllers(): void {
  const available = readFileSync(join(root, 'cgroup.controllers'), 'utf8').trim().split(' ');
  for (const controller of available) writeFileSync(join(root, 'cgroup.subtree_control'), `+${controller}`);
}
