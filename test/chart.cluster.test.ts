/** The chart on a real API server: it installs into a hard namespace, and its rights are enough and not more. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startLab } from '../lab/lab.ts';
import type { Lab } from '../lab/lab.ts';
import { mustRun } from '../lab/run-command.ts';
import type { CommandResult } from '../lab/run-command.ts';
import { waitUntil } from '../lab/wait-until.ts';

const operator = '--as=system:serviceaccount:operator:microservice-operator';
let lab: Lab;

beforeAll(async () => {
  lab = await startLab({ profile: 'api' });
  await kubectl('create', 'namespace', 'operator');
  await kubectl('label', 'namespace', 'operator', 'pod-security.kubernetes.io/enforce=restricted');
  await helm('install', 'release', 'charts/microservice-operator', '--set=networkPolicy.enabled=true');
}, 90_000);

afterAll(() => lab.stop());

const helm = (...args: string[]): Promise<string> => mustRun(['out/bin/kubernetes', 'helm', `--kubeconfig=${lab.kubeconfigPath}`, '--namespace=operator', ...args]);

/** Runs kubectl, which has to succeed. */
async function kubectl(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await lab.kubectl(args);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** Server-side apply of an object that need not exist yet, as the operator. */
const applyAsOperator = (object: object): Promise<CommandResult> =>
  lab.kubectl(['apply', '--server-side', '--field-manager=microservice-operator', operator, '--filename=-'], JSON.stringify(object));

const secret = (namespace: string, name: string): object => ({ apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name } });

test('a namespace that enforces the restricted Pod Security level takes the pods', async () => {
  const pods = async (): Promise<readonly string[]> => (await kubectl('get', 'pods', '--namespace=operator', '--output=name')).trim().split('\n');
  await waitUntil(async () => (await pods()).length === 2, { what: 'the operator has two pods', timeoutMs: 15_000 });
  expect(await pods()).toEqual([expect.stringContaining('pod/microservice-operator-'), expect.stringContaining('pod/microservice-operator-')]);
});

test.each(['microservice-fleet-tls', 'microservice-operator-ca'])('the operator may create its own Secret %s', async (name) => {
  expect(await applyAsOperator(secret('operator', name))).toMatchObject({ code: 0, stderr: '' });
  expect(await lab.kubectl(['get', 'secret', name, '--namespace=operator', operator])).toMatchObject({ code: 0 });
});

test.each([
  ['default', 'microservice-operator-ca'],
  ['default', 'password'],
  ['operator', 'password'],
])('it may not create or read in namespace %s the Secret %s', async (namespace, name) => {
  const { code, stderr } = await applyAsOperator(secret(namespace, name));
  expect(code).toBe(1);
  expect(stderr).toContain('is forbidden');
  expect(await canI('get', `secret/${name}`, `--namespace=${namespace}`)).toBe(false);
});

test('it may create children by server-side apply and write the status of a Microservice', async () => {
  const children = [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace: 'default', name: 'child' } },
    { apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'default', name: 'child' }, spec: { ports: [{ port: 80 }] } },
    { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { namespace: 'default', name: 'child' }, spec: { maxUnavailable: 1, selector: { matchLabels: { a: 'b' } } } },
  ];
  for (const child of children) expect(await applyAsOperator(child)).toMatchObject({ code: 0, stderr: '' });
  await kubectl('apply', '--filename=examples/hello-http.yaml');
  const status = { apiVersion: 'microservice-operator.io/v1alpha1', kind: 'Microservice', metadata: { namespace: 'default', name: 'hello-http' }, status: { replicas: 1 } };
  const args = ['apply', '--server-side', '--subresource=status', '--field-manager=microservice-operator-status', operator, '--filename=-'];
  expect(await lab.kubectl(args, JSON.stringify(status))).toMatchObject({ code: 0, stderr: '' });
});

async function canI(...question: string[]): Promise<boolean> {
  const { stdout } = await lab.kubectl(['auth', 'can-i', ...question, operator]);
  return stdout.trim() === 'yes';
}

test.each([
  'update microservices',
  'patch microservices',
  'delete persistentvolumeclaims',
  'list secrets',
  'create pods',
  'create pods --subresource=exec',
  'create serviceaccounts --subresource=token',
  'get nodes --subresource=proxy',
  'impersonate users',
  'escalate clusterroles',
  'bind clusterroles',
  'patch namespaces',
  'create validatingwebhookconfigurations',
  'patch configmaps',
  'update leases/other',
])('it may not %s', async (question) => {
  expect(await canI(...question.split(' '), '--namespace=default')).toBe(false);
  expect(await canI(...question.split(' '), '--namespace=operator')).toBe(false);
});

test.each([
  'watch microservices --namespace=default',
  'patch deployments --namespace=default',
  'delete horizontalpodautoscalers --namespace=default',
  'list endpointslices --namespace=default',
  'create events.events.k8s.io --namespace=default',
  'create leases --namespace=operator',
  'update leases/microservice-operator --namespace=operator',
])('it may %s', async (question) => {
  expect(await canI(...question.split(' '))).toBe(true);
});

test('uninstalling keeps the CRD and the Microservices, and installing again takes them up', async () => {
  await kubectl('apply', '--filename=examples/hello-http.yaml');
  await helm('uninstall', 'release', '--no-hooks');
  expect(await kubectl('get', 'msvc', '--output=name')).toContain('microservice.microservice-operator.io/hello-http');
  await expect(kubectl('get', 'deployment', 'microservice-operator', '--namespace=operator')).rejects.toThrow('not found');
  expect(await helm('install', 'release', 'charts/microservice-operator')).toContain('STATUS: deployed');
});
