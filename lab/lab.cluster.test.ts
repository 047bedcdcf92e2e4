import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { askSupervisor } from './control.ts';
import { labsFolder } from './lab-folder.ts';
import { startLab } from './lab.ts';
import type { Lab } from './lab.ts';
import { processesOf } from './leftovers.ts';
import { runCommand } from './run-command.ts';
import type { CommandResult } from './run-command.ts';
import { waitUntil } from './wait-until.ts';

let lab: Lab;

beforeAll(async () => {
  const start = performance.now();
  lab = await startLab({ profile: 'api', auditLog: true });
  console.log(`profile api was ready after ${Math.round(performance.now() - start)} ms`);
}, 60_000);

afterAll(() => lab.stop());

test('controllers turn a Deployment into pods', async () => {
  expect(await lab.kubectl(['create', 'deployment', 'hello', '--image=example', '--replicas=2'])).toMatchObject({ code: 0, stderr: '' });
  const pods = async (): Promise<boolean> => (await lab.kubectl(['get', 'pods', '--output=name'])).stdout.trim().split('\n').length === 2;
  await waitUntil(pods, { what: 'there are two pods', timeoutMs: 10_000 });
});

test('a namespace can enforce the restricted Pod Security level', async () => {
  await lab.kubectl(['create', 'namespace', 'hard']);
  await lab.kubectl(['label', 'namespace', 'hard', 'pod-security.kubernetes.io/enforce=restricted']);
  const { code, stderr } = await lab.kubectl(['run', 'root', '--image=example', '--namespace=hard']);
  expect(code).toBe(1);
  expect(stderr).toContain('violates PodSecurity "restricted:latest"');
});

test('the audit log names user, verb and object of a request', async () => {
  await lab.kubectl(['create', 'configmap', 'counted']);
  await waitUntil(() => Promise.resolve(auditOf('counted').length > 0), { what: 'the request is in the audit log', timeoutMs: 5_000 });
  expect(auditOf('counted')).toEqual([expect.objectContaining({ level: 'Metadata', stage: 'ResponseComplete', verb: 'create', user: expect.objectContaining({ username: 'admin' }) })]);
});

test('a node is not pretended', async () => {
  await expect(lab.loadImage('x.tar')).rejects.toThrow('profile api has no node');
});

test('labs stand side by side, and stop() leaves neither process nor folder', async () => {
  const second = await startLab({ profile: 'api' });
  expect(processesOf(second.stateDir)).toHaveLength(3);
  expect(second.server).not.toBe(lab.server);
  const start = performance.now();
  await second.stop();
  console.log(`stop() took ${Math.round(performance.now() - start)} ms`);
  expect(processesOf(second.stateDir)).toEqual([]);
  expect(existsSync(second.stateDir)).toBe(false);
}, 60_000);

test('up twice is harmless; kill -9 of the supervisor takes its children along; down ends what is up', async () => {
  const name = `cli-${process.pid}`;
  const stateDir = join(labsFolder, name);
  const cli = (...args: string[]): Promise<CommandResult> => runCommand([process.execPath, join(import.meta.dirname, 'main.ts'), ...args, `--name=${name}`]);
  const kubeconfig = `export KUBECONFIG=${join(stateDir, 'kubeconfig')}\n`;
  const isUp = async (): Promise<boolean> => (await askSupervisor(stateDir, { kind: 'status' })) !== undefined;
  try {
    expect(await cli('up', '--profile=api')).toMatchObject({ code: 0, stdout: kubeconfig });
    const { pid } = (await askSupervisor(stateDir, { kind: 'status' })) ?? { pid: 0 };
    expect(await cli('up', '--profile=api')).toMatchObject({ code: 0, stdout: kubeconfig });
    expect(await askSupervisor(stateDir, { kind: 'status' })).toMatchObject({ pid });
    expect(await cli('up', '--profile=node')).toMatchObject({ code: 1, stderr: expect.stringContaining('is up with profile api') });
    process.kill(pid, 'SIGKILL');
    await waitUntil(() => Promise.resolve(processesOf(stateDir).length === 0), { what: 'all processes have ended', timeoutMs: 5_000 });
    expect(await cli('status')).toMatchObject({ code: 1, stderr: expect.stringContaining(`Start it: lab up --name ${name}`) });
    expect(await cli('up', '--profile=api')).toMatchObject({ code: 0 });
  } finally {
    expect(await cli('down')).toMatchObject({ code: 0, stderr: '' });
  }
  expect(await isUp()).toBe(false);
  expect(processesOf(join(stateDir, 'logs'))).toEqual([]);
  rmSync(stateDir, { recursive: true });
}, 60_000);

function auditOf(name: string): unknown[] {
  const lines = readFileSync(lab.auditLogPath ?? '', 'utf8').split('\n').slice(0, -1); // the last one may be half written
  const events: { objectRef?: { name?: string } }[] = lines.map((line) => JSON.parse(line));
  return events.filter((event) => event.objectRef?.name === name);
}
