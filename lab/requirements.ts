import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Profile } from './started-lab.ts';
import { binFolder } from './lab-folder.ts';

/** Where Debian's containernetworking-plugins are. */
export const cniFolder = '/usr/lib/cni';

/** Programs by the Debian package that has them. */
const programs: Readonly<Record<Profile, readonly (readonly [program: string, debianPackage: string])[]>> = {
  api: [['setpriv', 'util-linux']],
  node: [
    ['setpriv', 'util-linux'],
    ['unshare', 'util-linux'],
    ['mount', 'mount'],
    ['ip', 'iproute2'],
    ['containerd', 'containerd'],
    ['ctr', 'containerd'],
    ['runc', 'runc'],
    ['nft', 'nftables'],
    ['conntrack', 'conntrack'],
    ['iptables', 'iptables'],
    [`${cniFolder}/ptp`, 'containernetworking-plugins'],
  ],
};

/** Throws with everything that the profile misses on this machine, and how to get it. */
export function requireTools(profile: Profile): void {
  if (process.platform !== 'linux') throw new Error(`The lab needs Linux; this is ${process.platform}.`);
  const problems = [...missingBinaries(profile), ...missingPrograms(profile), ...(profile === 'node' ? missingOnMachine() : [])];
  if (problems.length > 0) throw new Error(`Profile ${profile} of the lab cannot start:\n${problems.map((problem) => `- ${problem}`).join('\n')}`);
}

/** Debian packages whose programs are not there. */
export function missingPackages(profile: Profile): string[] {
  // Not every user has the folders of administration programs on the path.
  const script = 'PATH=$PATH:/usr/sbin:/sbin; for program in "$@"; do command -v "$program" >/dev/null || echo "$program"; done';
  const wanted = programs[profile];
  const missing = spawnSync('/bin/sh', ['-c', script, 'lab', ...wanted.map(([program]) => program)], { encoding: 'utf8' }).stdout.split('\n');
  return [...new Set(wanted.filter(([program]) => missing.includes(program)).map(([, debianPackage]) => debianPackage))];
}

function missingPrograms(profile: Profile): string[] {
  const packages = missingPackages(profile);
  return packages.length === 0 ? [] : [`programs are missing. Debian or Ubuntu: apt-get install --no-install-recommends ${packages.join(' ')}`];
}

function missingBinaries(profile: Profile): string[] {
  const names = profile === 'api' ? ['kubernetes'] : ['kubernetes', 'coredns', 'pause'];
  const missing = names.filter((name) => !existsSync(join(binFolder, name)));
  return missing.length === 0 ? [] : [`${missing.join(', ')} not built yet. Run: make lab`];
}

function missingOnMachine(): string[] {
  const problems: string[] = [];
  if (!mayAdminister()) problems.push('it needs root with CAP_SYS_ADMIN and CAP_NET_ADMIN, for namespaces, mounts and cgroups. Run it as root (a container: --privileged), or use profile api');
  if (!existsSync('/sys/fs/cgroup/cgroup.controllers') && !existsSync('/sys/fs/cgroup/memory')) problems.push('no cgroups at /sys/fs/cgroup. In a container: start it with --privileged --cgroupns=host');
  if (!readFileSync('/proc/filesystems', 'utf8').includes('overlay')) problems.push('the kernel has no overlay file system. Run: modprobe overlay');
  return problems;
}

function mayAdminister(): boolean {
  const effective = BigInt(`0x${/^CapEff:\s*(?<mask>\w+)$/mu.exec(readFileSync('/proc/self/status', 'utf8'))?.groups?.['mask'] ?? '0'}`);
  const [netAdmin, sysAdmin] = [1n << 12n, 1n << 21n];
  return process.geteuid?.() === 0 && (effective & netAdmin) !== 0n && (effective & sysAdmin) !== 0n;
}
