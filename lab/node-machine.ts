import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { mustRun } from './run-command.ts';

/** The address of the node, of the API server, and of the name server of pods. It exists inside the lab's network namespace only. */
export const nodeAddress = '10.0.0.1';
export const podCidr = '10.244.0.0/16';

/** Where the lab's folder is seen inside the mount namespace: short, because the path of a Unix socket has 107 bytes at most. */
export const insideFolder = '/run/lab';

/**
 * Makes the fresh network, mount and UTS namespaces that this process is in look like a machine of its own: what the daemons write to fixed
 * places goes to the lab's folder or vanishes with the namespace. Nothing outside is changed.
 */
export async function prepareMachine(stateDir: string): Promise<void> {
  await prepareMounts(stateDir);
  await prepareNetwork();
}

async function prepareMounts(stateDir: string): Promise<void> {
  const resolvConf = await mustRun(['readlink', '--canonicalize-missing', '/etc/resolv.conf']);
  await mustRun(['mount', '--make-rshared', '/']); // volumes with mount propagation need shared mounts
  // The state first, because the mounts that follow may hide the place where it is.
  const state = realpathSync(stateDir);
  await mustRun(['mount', '--bind', state, '/mnt']);
  await mustRun(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'lab', '/run']);
  mkdirSync(insideFolder);
  await mustRun(['mount', '--bind', '/mnt', insideFolder]);
  await mustRun(['umount', '/mnt']);
  mkdirSync('/run/var/upper', { recursive: true });
  mkdirSync('/run/var/work');
  await mustRun(['mount', '-t', 'overlay', '-o', 'lowerdir=/var,upperdir=/run/var/upper,workdir=/run/var/work', 'lab', '/var']);
  for (const place of ['/var/lib/kubelet', '/var/lib/containerd', '/var/lib/cni', '/var/log/pods', '/var/log/containers']) await bindState(place);
  await coverFile(resolvConf.trim(), `nameserver ${nodeAddress}\n`);
  for (const [name, value] of kernelSettings) await pretend(`/proc/sys/${name}`, value);
}

async function prepareNetwork(): Promise<void> {
  await mustRun(['hostname', 'node']);
  await mustRun(['ip', 'link', 'set', 'lo', 'up']);
  await mustRun(['ip', 'link', 'add', 'node0', 'type', 'veth', 'peer', 'name', 'node1']); // a pair, so that the link is up
  await mustRun(['ip', 'address', 'add', `${nodeAddress}/24`, 'dev', 'node0']);
  await mustRun(['ip', 'link', 'set', 'node0', 'up']);
  await mustRun(['ip', 'link', 'set', 'node1', 'up']);
  // Service addresses need some route to reach kube-proxy's rules. There is no default route: nothing leaves, and that is known at once.
  await mustRun(['ip', 'route', 'add', '10.96.0.0/15', 'dev', 'node0']);
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
}

async function bindState(place: string): Promise<void> {
  const state = `${insideFolder}/node${place}`;
  mkdirSync(state, { recursive: true });
  mkdirSync(place, { recursive: true });
  await mustRun(['mount', '--bind', state, place]);
}

/** The kubelet wants these values and would set them for the whole machine. It is shown them, and leaves the machine alone. */
const kernelSettings = [
  ['vm/overcommit_memory', '1'],
  ['vm/panic_on_oom', '0'],
  ['kernel/panic', '10'],
  ['kernel/panic_on_oops', '1'],
  ['kernel/keys/root_maxkeys', '1000000'],
  ['kernel/keys/root_maxbytes', '25000000'],
] as const;

async function pretend(setting: string, value: string): Promise<void> {
  if (existsSync(setting) && readFileSync(setting, 'utf8').trim() !== value) await coverFile(setting, `${value}\n`);
}

async function coverFile(path: string, content: string): Promise<void> {
  const cover = `/run/files${path}`;
  mkdirSync(dirname(cover), { recursive: true });
  writeFileSync(cover, content);
  if (path.startsWith('/run/')) mkdirSync(dirname(path), { recursive: true });
  if (path.startsWith('/run/')) writeFileSync(path, '');
  await mustRun(['mount', '--bind', cover, path]);
}
