import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { askSupervisor } from './control.ts';
import { writeImage } from './image.ts';
import { labsFolder } from './lab-folder.ts';
import { startLab } from './lab.ts';
import type { Lab } from './lab.ts';
import { cgroupsOf, descendants, isRunning, machineState } from './leftovers.ts';
import { nodeLayer } from './node-image.ts';
import { runCommand } from './run-command.ts';
import { waitUntil } from './wait-until.ts';

const program = `
const { hostname } = require('node:os');
require('node:http').createServer((request, response) => {
  if (request.url === '/burn') for (const end = Date.now() + 100; Date.now() < end; );
  response.end(hostname());
}).listen(8080, () => console.log('listening'));
process.on('SIGTERM', () => process.exit(0));`;

let lab: Lab;
let before: Readonly<Record<string, string>>;
const start = performance.now();
const scratch = mkdtempSync(join(tmpdir(), 'lab-test-'));

beforeAll(async () => {
  before = await machineState();
  lab = await startLab({ profile: 'node' });
  report('the node was Ready');
  const image = join(scratch, 'web.tar');
  writeImage({ reference: 'lab-test/web:1', layers: [await nodeLayer(), [{ path: '/main.js', content: program }]], config: { entrypoint: ['/usr/local/bin/node', '/main.js'], user: '65532:65532' } }, image);
  report('the image was written');
  await lab.loadImage(image);
  report('the image was loaded');
  await kubectl(['create', 'namespace', 'hard']);
  await kubectl(['label', 'namespace', 'hard', 'pod-security.kubernetes.io/enforce=restricted']);
  await kubectl(['apply', '--filename=-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [claim, deployment, service] }));
}, 120_000);

afterAll(async () => {
  await lab.stop();
  rmSync(scratch, { recursive: true });
}, 30_000);

test('two restricted replicas become Ready', async () => {
  await kubectl(['rollout', 'status', 'deployment/web', '--namespace=hard', '--timeout=60s']);
  report('two replicas were Ready');
  expect(await kubectl(['get', 'node', '--output=jsonpath={.items[*].status.nodeInfo.kubeletVersion}'])).toMatch(/^v1\.36\./u);
}, 90_000);

test('a published Service balances over both replicas', async () => {
  const port = await lab.publish({ namespace: 'hard', name: 'web', port: 80 });
  const seen = new Set<string>();
  const both = async (): Promise<boolean> => seen.add(await get(`http://127.0.0.1:${port}/`)).size === 2;
  await waitUntil(both, { what: 'both replicas have answered', timeoutMs: 10_000 });
  expect([...seen]).toEqual([expect.stringMatching(/^web-/u), expect.stringMatching(/^web-/u)]);
  await expect(lab.publish({ namespace: 'hard', name: 'missing', port: 80 })).rejects.toThrow('services "missing" not found');
});

test('pods reach Services by name, by load balancer address and by way of themselves; other names do not exist, which is said at once', async () => {
  await waitUntil(async () => (await ingress()) !== '', { what: 'the Service has an address', timeoutMs: 5_000 });
  for (const host of ['web', 'web.hard', 'web.hard.svc.cluster.local', await ingress()]) {
    expect(await inPod(`for (let i = 0; i < 10; i++) { const r = await fetch('http://${host}/', { headers: { connection: 'close' } }); await r.text(); } console.log('ok')`)).toBe('ok\n');
  }
  const lookup = await inPod(`const t = Date.now(); await fetch('http://example.com').catch((e) => console.log(e.cause.code, Date.now() - t < 1000))`);
  expect(lookup).toBe('ENOTFOUND true\n');
}, 30_000);

test('a claim is bound to a directory that the non-root pods can write, and deleting it deletes the directory', async () => {
  expect(await inPod(`require('node:fs').writeFileSync('/data/kept', 'yes'); console.log(process.getuid())`)).toBe('65532\n');
  expect(await kubectl(['get', 'pvc', 'data', '--namespace=hard', '--output=jsonpath={.status.phase}'])).toBe('Bound');
});

test('kubectl logs and kubectl top work', async () => {
  expect(await kubectl(['logs', 'deployment/web', '--namespace=hard'])).toBe('listening\n');
  const top = async (): Promise<boolean> => (await kubectl(['top', 'pods', '--namespace=hard', '--no-headers'])).trim().split('\n').length === 2;
  await waitUntil(top, { what: 'both pods have metrics', timeoutMs: 60_000 });
  report('CPU metrics were there');
}, 90_000);

test('a second lab beside it: kill -9 of its supervisor leaves no process, cgroup, mount, link, rule, route or changed setting', async () => {
  const name = `kill-${process.pid}`;
  const stateDir = join(labsFolder, name);
  expect(await runCommand([process.execPath, join(import.meta.dirname, 'main.ts'), 'up', `--name=${name}`])).toMatchObject({ code: 0 });
  report('the second lab was up');
  const { pid } = (await askSupervisor(stateDir, { kind: 'status' })) ?? { pid: 0 };
  const processes = descendants(pid);
  expect(processes.length).toBeGreaterThan(10);
  expect(cgroupsOf(stateDir)).not.toEqual([]);
  process.kill(pid, 'SIGKILL');
  await waitUntil(() => Promise.resolve(!processes.some(isRunning) && cgroupsOf(stateDir).length === 0), { what: 'everything is gone', timeoutMs: 15_000 });
  report('kill -9 had left nothing');
  rmSync(stateDir, { recursive: true }); // no mount holds it
  expect(await machineState()).toEqual(before);
  expect(await inPod(`console.log((await fetch('http://web/')).status)`)).toBe('200\n');
}, 90_000);

test('stop() leaves nothing either', async () => {
  const processes = descendants(process.pid);
  const { stateDir } = lab;
  await kubectl(['delete', 'deployment/web', 'pvc/data', '--namespace=hard']);
  await waitUntil(async () => (await kubectl(['get', 'pv', '--output=name'])) === '', { what: 'the volume is gone', timeoutMs: 10_000 });
  const stopping = performance.now();
  await lab.stop();
  console.log(`stop() took ${Math.round(performance.now() - stopping)} ms`);
  expect(processes.length).toBeGreaterThan(10);
  expect(processes.filter(isRunning)).toEqual([]);
  expect(cgroupsOf(stateDir)).toEqual([]);
  expect(await machineState()).toEqual(before);
}, 30_000);

const labels = { app: 'web' };
const metadata = { name: 'web', namespace: 'hard' };
const claim = {
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name: 'data', namespace: 'hard' },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
};
const container = {
  name: 'web',
  image: 'lab-test/web:1',
  securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
  resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { cpu: '1', memory: '256Mi' } },
  readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 },
  volumeMounts: [{ name: 'data', mountPath: '/data' }],
};
const podSpec = {
  securityContext: { runAsNonRoot: true, fsGroup: 65_532, seccompProfile: { type: 'RuntimeDefault' } },
  containers: [container],
  volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }],
};
const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec: { replicas: 2, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: podSpec } } };
const service = { apiVersion: 'v1', kind: 'Service', metadata, spec: { type: 'LoadBalancer', selector: labels, ports: [{ port: 80, targetPort: 8080 }] } };

async function kubectl(args: readonly string[], stdin?: string): Promise<string> {
  const { code, stdout, stderr } = await lab.kubectl(args, stdin);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

function inPod(script: string): Promise<string> {
  return kubectl(['exec', 'deployment/web', '--namespace=hard', '--', '/usr/local/bin/node', '--eval', `(async () => { ${script} })()`]);
}

function ingress(): Promise<string> {
  return kubectl(['get', 'service', 'web', '--namespace=hard', '--output=jsonpath={.status.loadBalancer.ingress[0].ip}']);
}

async function get(url: string): Promise<string> {
  const response = await fetch(url, { headers: { connection: 'close' } });
  return response.text();
}

function report(what: string): void {
  console.log(`${what} after ${Math.round(performance.now() - start)} ms`);
}
