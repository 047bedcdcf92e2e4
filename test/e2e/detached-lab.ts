/** A lab that goes on when the program that started it has ended: what `node lab/main.ts up` starts. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { askSupervisor, type ControlAnswer, type ControlRequest } from '../../lab/control.ts';
import type { Lab } from '../../lab/lab.ts';
import { binFolder, labsFolder, openLabFolder } from '../../lab/lab-folder.ts';
import { cgroupsOf, machineState, processesOf } from '../../lab/leftovers.ts';
import { runCommand } from '../../lab/run-command.ts';

const LAB_PROGRAM = join(import.meta.dirname, '../../lab/main.ts');

export type DetachedLab = Pick<Lab, 'kubeconfigPath' | 'kubectl' | 'loadImage' | 'publish'>;

/** What is left on the machine after a lab. */
export interface Leftovers {
  /** Processes, cgroups and mounts of this lab. */
  readonly own: readonly string[];
  /** What of the machine's network, packet filter, mounts and folders is not as before; other programs change it too. Undefined: it was not running. */
  readonly changed: readonly string[] | undefined;
}

/** Starts it, or finds it running. */
export async function startDetachedLab(name: string): Promise<DetachedLab> {
  const stateDir = join(labsFolder, name);
  if ((await askSupervisor(stateDir, { kind: 'status' })) === undefined) await rememberMachine(name);
  await labCommand('up', name);
  const folder = openLabFolder(stateDir);
  const kubeconfigPath = folder.file('kubeconfig');
  const ask = async (wanted: ControlRequest): Promise<ControlAnswer> => {
    const answer = await askSupervisor(stateDir, wanted);
    if (answer === undefined) throw new Error(`the lab has ended; its logs are in ${folder.file('logs')}`);
    return answer;
  };
  return {
    kubeconfigPath,
    kubectl: (args, stdin) => runCommand([join(binFolder, 'kubectl'), `--kubeconfig=${kubeconfigPath}`, `--cache-dir=${folder.file('kubectl-cache')}`, ...args], stdin),
    loadImage: async (path) => void (await ask({ kind: 'load-image', path })),
    publish: async (service, localPort = 0) => (await ask({ kind: 'publish', ...service, localPort })).port ?? 0,
  };
}

/** Ends it if it runs, and looks for what is left. */
export async function stopDetachedLab(name: string): Promise<Leftovers> {
  await labCommand('down', name);
  const stateDir = join(labsFolder, name);
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n').filter((line) => line.includes(`${stateDir}/`));
  return { own: [...processesOf(`${stateDir}/`), ...cgroupsOf(stateDir), ...mounts], changed: await changedSince(machineFile(name)) };
}

async function labCommand(command: 'up' | 'down', name: string): Promise<void> {
  const { code, stderr } = await runCommand([process.execPath, '--disable-warning=ExperimentalWarning', LAB_PROGRAM, command, `--name=${name}`]);
  if (code !== 0) throw new Error(stderr.trim());
}

/** Beside the lab's folder, which it empties. */
const machineFile = (name: string): string => join(labsFolder, `${name}.machine.json`);

async function rememberMachine(name: string): Promise<void> {
  mkdirSync(labsFolder, { recursive: true });
  writeFileSync(machineFile(name), JSON.stringify(await machineState()));
}

async function changedSince(file: string): Promise<readonly string[] | undefined> {
  if (!existsSync(file)) return undefined;
  const before: Readonly<Record<string, string>> = JSON.parse(readFileSync(file, 'utf8'));
  rmSync(file);
  return Object.entries(await machineState()).flatMap(([what, now]) => (now === before[what] ? [] : [what]));
}
