import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupName, hierarchies } from './cgroups.ts';
import { openLabFolder } from './lab-folder.ts';
import { runCommand } from './run-command.ts';

/** Command lines of the running processes that mention a folder. */
export function processesOf(folder: string): string[] {
  return processIds().map((pid) => read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')).filter((line) => line.includes(folder));
}

/** Ids of all processes that a process has started, and theirs, and so on; as long as each one's parent lives. */
export function descendants(ancestor: number): number[] {
  const parents = new Map(processIds().map((pid) => [pid, Number(/\) \S (?<parent>\d+)/u.exec(read(`/proc/${pid}/stat`))?.groups?.['parent'])]));
  const children = (parent: number): number[] => [...parents].filter(([, of]) => of === parent).flatMap(([pid]) => [pid, ...children(pid)]);
  return children(ancestor);
}

export function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

/** The cgroups of the lab in a folder. */
export function cgroupsOf(folder: string): string[] {
  const name = cgroupName(openLabFolder(folder));
  return hierarchies().map((hierarchy) => join(hierarchy, name)).filter((path) => existsSync(path));
}

/** What a lab must not change: the network, the packet filter, mounts, kernel settings and the folders that daemons like to write to. */
export async function machineState(): Promise<Readonly<Record<string, string>>> {
  const commands = [['ip', 'link', 'show'], ['ip', 'rule'], ['ip', 'route', 'show', 'table', 'all'], ['nft', 'list', 'ruleset'], ['ip', 'netns', 'list']];
  const printed = await Promise.all(commands.map(async (command) => [command.join(' '), (await runCommand(command)).stdout] as const));
  const folders = ['/run', '/run/netns', '/run/containerd', '/var/lib', '/var/lib/containerd', '/var/lib/cni', '/var/log', '/etc/cni/net.d', '/opt', '/etc'];
  const files = ['/proc/self/mounts', '/etc/resolv.conf', ...['vm/overcommit_memory', 'vm/panic_on_oom', 'kernel/panic', 'kernel/panic_on_oops', 'kernel/hostname', 'net/ipv4/ip_forward'].map((name) => `/proc/sys/${name}`)];
  return Object.fromEntries([
    ...printed,
    ...folders.map((folder) => [folder, existsSync(folder) ? readdirSync(folder).join(' ') : ''] as const),
    ...files.map((file) => [file, read(file)] as const),
  ]);
}

function processIds(): number[] {
  return readdirSync('/proc').filter((entry) => /^\d+$/u.test(entry)).map(Number);
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // a process that has ended
  }
}
