import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { processesOf } from './leftovers.ts';
import { startLab } from './lab.ts';
import type { Lab } from './lab.ts';
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
  const written = async (): Promise<boolean> => Promise.resolve(readFileSync(lab.auditLogPath ?? '', 'utf8').includes('/configmaps/counted') || auditOf('counted').length > 0);
  await waitUntil(written, { what: 'the request is in the audit log', timeoutMs: 5_000 });
  expect(auditOf('counted')).toEqual([expect.objectContaining({ level: 'Metadata', stage: 'ResponseComplete', verb: 'create', user: expect.objectContaining({ username: 'admin' }) })]);
});

test('nothing but its children is running, and stop() ends them and removes the folder', async () => {
  const second = await startLab({ profile: 'api' });
  expect(processesOf(second.stateDir)).toHaveLength(3);
  expect(second.server).not.toBe(lab.server);
  const start = performance.now();
  await second.stop();
  console.log(`stop() took ${Math.round(performance.now() - start)} ms`);
  expect(processesOf(second.stateDir)).toEqual([]);
  expect(() => readFileSync(second.kubeconfigPath)).toThrow('ENOENT');
}, 60_000);

function auditOf(name: string): unknown[] {
  const events: { objectRef?: { name?: string } }[] = readFileSync(lab.auditLogPath ?? '', 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line));
  return events.filter((event) => event.objectRef?.name === name);
}
