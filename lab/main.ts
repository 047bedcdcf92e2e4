import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from './build.ts';
import { askSupervisor } from './control.ts';
import type { ControlAnswer, ControlRequest } from './control.ts';
import { labsFolder, openLabFolder } from './lab-folder.ts';
import type { Profile } from './started-lab.ts';
import { requireTools } from './requirements.ts';
import { supervise } from './supervisor.ts';
import type { SupervisorMessage } from './supervisor.ts';
import { waitUntil } from './wait-until.ts';

const usage = `lab: a real Kubernetes on this machine ("lab" stands for: node lab/main.ts)

  lab build [--install]                     build what the lab runs; --install: also apt-get what is missing
  lab up [--profile node|api] [--audit]     start it (default: node, which needs root); it stays until "down"
  lab status | kubeconfig | down
  lab load-image FILE.tar                   make an image known to the node
  lab publish NAMESPACE/SERVICE:PORT [--port P]   offer a Service on 127.0.0.1

--name NAME (default: default) tells labs apart; a lab's state and logs are in out/lab/NAME.`;

const { values, positionals } = readArguments();
const [command = 'help', argument = ''] = positionals;
const stateDir = join(labsFolder, values.name);

const commands: Readonly<Record<string, () => Promise<void>>> = {
  help: async () => console.log(usage),
  build: () => build({ install: values.install, report: (line) => console.log(line) }),
  up,
  supervise: () => supervise({ profile: profile(), stateDir, auditLog: values.audit }),
  down,
  status,
  kubeconfig: async () => {
    await ask({ kind: 'status' });
    console.log(openLabFolder(stateDir).file('kubeconfig'));
  },
  'load-image': async () => {
    await ask({ kind: 'load-image', path: resolve(argument) });
  },
  publish,
};

try {
  const run = commands[values.help ? 'help' : command];
  if (run === undefined) throw new Error(`unknown command "${command}"\n\n${usage}`);
  await run();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

// The compiler infers the type of the values from the options.
function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        name: { type: 'string', default: 'default' },
        profile: { type: 'string', default: 'node' },
        audit: { type: 'boolean', default: false },
        install: { type: 'boolean', default: false },
        port: { type: 'string', default: '0' },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    return process.exit(1);
  }
}

async function up(): Promise<void> {
  const wanted = profile();
  const running = await askSupervisor(stateDir, { kind: 'status' });
  if (running !== undefined && running.profile !== wanted) throw new Error(`lab ${values.name} is up with profile ${running.profile}; end it first: lab down`);
  if (running === undefined) await startSupervisor(wanted);
  else await waitUntil(async () => (await ask({ kind: 'status' })).state === 'running', { what: 'the lab is up', timeoutMs: 120_000 });
  console.log(`export KUBECONFIG=${openLabFolder(stateDir).file('kubeconfig')}`);
}

async function startSupervisor(wanted: Profile): Promise<void> {
  requireTools(wanted);
  const start = performance.now();
  const flags = ['supervise', `--name=${values.name}`, `--profile=${wanted}`, ...(values.audit ? ['--audit'] : [])];
  const child = spawn(process.execPath, [import.meta.filename, ...flags], { detached: true, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  const message = await new Promise<SupervisorMessage>((resolveMessage) => {
    child.once('message', resolveMessage);
    child.once('exit', (code, signal) => resolveMessage({ kind: 'failed', message: `the supervisor ended: ${signal ?? `exit code ${code}`}` }));
  });
  if (child.connected) child.disconnect();
  child.unref();
  if (message.kind === 'failed') throw new Error(message.message);
  console.error(`lab ${values.name} (profile ${wanted}) is up after ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

async function down(): Promise<void> {
  if ((await askSupervisor(stateDir, { kind: 'status' })) === undefined) return;
  await ask({ kind: 'stop' });
  const gone = async (): Promise<boolean> => (await askSupervisor(stateDir, { kind: 'status' })) === undefined;
  await waitUntil(gone, { what: 'the supervisor has ended', timeoutMs: 30_000 });
}

async function status(): Promise<void> {
  const { state, profile: running, pid } = await ask({ kind: 'status' });
  console.log(`lab ${values.name}: ${state}, profile ${running}, supervisor ${pid}, logs in ${openLabFolder(stateDir).file('logs')}`);
}

async function publish(): Promise<void> {
  const match = /^(?<namespace>[^/]+)\/(?<name>[^:]+):(?<port>\d+)$/u.exec(argument)?.groups;
  if (match === undefined) throw new Error(`publish: want NAMESPACE/SERVICE:PORT, not "${argument}"`);
  const { namespace = '', name = '' } = match;
  const { port } = await ask({ kind: 'publish', namespace, name, port: Number(match['port']), localPort: Number(values.port) });
  console.log(`127.0.0.1:${port}`);
}

async function ask(wanted: ControlRequest): Promise<ControlAnswer> {
  const answer = await askSupervisor(stateDir, wanted);
  if (answer === undefined) throw new Error(`lab ${values.name} is not up. Start it: lab up --name ${values.name}`);
  return answer;
}

function profile(): Profile {
  if (values.profile !== 'api' && values.profile !== 'node') throw new Error(`--profile: want api or node, not "${values.profile}"`);
  return values.profile;
}
