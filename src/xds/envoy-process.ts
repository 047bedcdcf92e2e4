/** For tests: one real Envoy on loopback, with a fleet's certificate, looking for its ADS server on a port that the test chooses. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { envoyBootstrap, secretDiscoveryFiles } from '../traffic/bootstrap.ts';

const binary = fileURLToPath(new URL('../../out/bin/envoy', import.meta.url));

export interface EnvoyProcess {
  readonly readyPort: number;
  readonly adminPort: number;
  /** Its log, for when a test fails. */
  log(): string;
  /** Replaces the certificate in the way of the kubelet. */
  replaceCertificate(certificate: FleetCertificate): void;
  stop(): Promise<void>;
}

/** All PEM. */
export interface FleetCertificate {
  readonly certificate: string;
  readonly privateKey: string;
  readonly authority: string;
}

export interface EnvoyInput extends FleetCertificate {
  readonly nodeId: string;
  readonly xdsPort: number;
}

export async function startEnvoy(input: EnvoyInput): Promise<EnvoyProcess> {
  const certificateDirectory = mkdtempSync(path.join(tmpdir(), 'envoy-'));
  mountSecret(certificateDirectory, input);
  const [readyPort = 0, adminPort = 0] = await freePorts(2);
  const bootstrap = envoyBootstrap({ xdsHost: 'localhost', xdsPort: input.xdsPort, readyPort, adminPort, certificateDirectory });
  const flags = ['--service-node', input.nodeId, '--service-cluster', 'claims-another-namespace', '--concurrency', '1', '--disable-hot-restart', '--drain-time-s', '2', '--log-level', 'warning'];
  const child = spawn(binary, ['--config-yaml', JSON.stringify(bootstrap), ...flags], { stdio: ['ignore', 'ignore', 'pipe'] });
  const lines: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => lines.push(chunk));
  return {
    readyPort,
    adminPort,
    log: () => Buffer.concat(lines).toString(),
    replaceCertificate: (certificate) => mountSecret(certificateDirectory, certificate),
    stop: () => stop(child, certificateDirectory),
  };
}

/** As the kubelet does: the files are links through `..data`, and a change is one rename of that link. */
function mountSecret(directory: string, { certificate, privateKey, authority }: FleetCertificate): void {
  const files = { 'tls.crt': certificate, 'tls.key': privateKey, 'ca.crt': authority, ...secretDiscoveryFiles(directory) };
  const content = mkdtempSync(path.join(directory, '..version-'));
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(content, name), text);
  symlinkSync(path.basename(content), path.join(directory, '..data_tmp'));
  renameSync(path.join(directory, '..data_tmp'), path.join(directory, '..data'));
  for (const name of Object.keys(files)) if (!existsSync(path.join(directory, name))) symlinkSync(`..data/${name}`, path.join(directory, name));
}

async function stop(child: ChildProcess, directory: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
  rmSync(directory, { recursive: true, force: true });
}

/** Ports on which nobody listened a moment ago. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createTcpServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map(portOf);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

export const portOf = (server: { address(): AddressInfo | string | null }): number => {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on TCP');
  return address.port;
};

/** Answers every request with its name. */
export async function startBackend(name: string): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume();
    response.end(name);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
