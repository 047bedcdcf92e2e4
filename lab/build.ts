import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { binFolder } from './lab-folder.ts';
import { missingPackages } from './requirements.ts';
import { mustRun, runCommand } from './run-command.ts';

const oldestGo = '1.26';
const coreDnsModule = 'github.com/coredns/coredns@v1.15.0';

export interface BuildOptions {
  /** Whether Debian packages that are missing are installed; without root they are only named. */
  readonly install: boolean;
  readonly report: (line: string) => void;
}

/** Builds what the labs run into out/bin, as far as its sources have changed. */
export async function build({ install, report }: BuildOptions): Promise<void> {
  await packages(install, report);
  await requireGo();
  mkdirSync(binFolder, { recursive: true });
  await buildFolder('pause', [], report);
  await buildFolder('kubernetes', ['-X', `k8s.io/component-base/version.gitVersion=${kubernetesVersion()}`], report);
  for (const name of ['kubectl', 'helm']) link(name);
  await once('coredns', coreDnsModule, report, async (folder) => {
    await mustRun(['env', 'CGO_ENABLED=0', `GOBIN=${folder}`, 'go', 'install', '-ldflags=-s -w', coreDnsModule]);
  });
}

/** Builds the Go module in `lab/<name>`. */
async function buildFolder(name: string, linkerFlags: readonly string[], report: (line: string) => void): Promise<void> {
  const source = join(import.meta.dirname, name);
  const files = readdirSync(source).toSorted().map((file) => `${file}\n${readFileSync(join(source, file), 'utf8')}`);
  await once(name, [...linkerFlags, ...files].join('\n'), report, async (folder) => {
    await mustRun(['env', 'CGO_ENABLED=0', 'go', 'build', '-C', source, '-buildvcs=false', `-ldflags=${['-s', '-w', ...linkerFlags].join(' ')}`, '-o', join(folder, name), '.']);
  });
}

/** Calls `make` unless the binary was made from the same `sources`; a build that breaks off leaves what was there. */
async function once(name: string, sources: string, report: (line: string) => void, make: (folder: string) => Promise<void>): Promise<void> {
  const binary = join(binFolder, name);
  const stamp = join(binFolder, `.${name}.sources`);
  const digest = createHash('sha256').update(`${process.arch}\n${sources}`).digest('hex');
  if (existsSync(binary) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  report(`building ${name}${name === 'pause' ? '' : ' (the first time takes minutes)'} ...`);
  const start = performance.now();
  const folder = join(binFolder, `.${name}.${process.pid}`);
  mkdirSync(folder);
  try {
    await make(folder);
    renameSync(join(folder, name), binary);
    writeFileSync(stamp, digest);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  report(`built ${name} in ${Math.round((performance.now() - start) / 1000)} s`);
}

async function packages(install: boolean, report: (line: string) => void): Promise<void> {
  const missing = missingPackages('node');
  if (missing.length === 0) return;
  const command = ['apt-get', 'install', '--yes', '--no-install-recommends', ...missing];
  if (!install || process.geteuid?.() !== 0) {
    report(`profile node will need: ${command.join(' ')}`);
    return;
  }
  report(`installing ${missing.join(' ')} ...`);
  await mustRun(['apt-get', 'update']);
  await mustRun(['env', 'DEBIAN_FRONTEND=noninteractive', ...command]);
}

async function requireGo(): Promise<void> {
  const advice = `The lab is built with Go ${oldestGo} or newer: https://go.dev/dl/`;
  const { stdout } = await runCommand(['go', 'env', 'GOVERSION']).catch(() => {
    throw new Error(`go is not on the path. ${advice}`);
  });
  const [major = 0, minor = 0] = stdout.trim().replace('go', '').split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = oldestGo.split('.').map(Number);
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor)) throw new Error(`This is ${stdout.trim()}. ${advice}`);
}

/** The version that go.mod names; without it, nodes would report v0.0.0. */
function kubernetesVersion(): string {
  const version = /k8s\.io\/kubernetes (?<version>v\S+)/u.exec(readFileSync(join(import.meta.dirname, 'kubernetes/go.mod'), 'utf8'))?.groups?.['version'];
  if (version === undefined) throw new Error('lab/kubernetes/go.mod does not require k8s.io/kubernetes');
  return version;
}

function link(name: string): void {
  const path = join(binFolder, name);
  if (!existsSync(path)) symlinkSync('kubernetes', path);
}
