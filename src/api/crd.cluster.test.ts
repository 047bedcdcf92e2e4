/** The CRD on a real API server: what it refuses and in which words, what it accepts, and what kubectl makes of it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startLab } from '../../lab/lab.ts';
import type { Lab } from '../../lab/lab.ts';

let lab: Lab;

beforeAll(async () => {
  lab = await startLab({ profile: 'api' });
  await kubectl('apply', '--server-side', '--filename=crds');
  await kubectl('wait', '--for=condition=Established', '--timeout=30s', 'crd/microservices.microservice-operator.io');
}, 90_000);

afterAll(() => lab.stop());

/** Runs kubectl, which has to succeed. */
async function kubectl(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await lab.kubectl(args);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

const yamlFiles = (folder: string): string[] => readdirSync(folder).filter((file) => file.endsWith('.yaml')).map((file) => join(folder, file));

/** A file says what must be in the answer (`# expect: ...`). Its last document is refused; those before it are there already. */
test.each(yamlFiles('test/bad-input'))('%s is refused with field and fix', async (file) => {
  const text = readFileSync(file, 'utf8');
  const expected = [...text.matchAll(/^# expect: (.*)$/gm)].map(([, fragment]) => fragment ?? '');
  expect(expected.length).toBeGreaterThan(0);
  const documents = text.split(/^---$/m);
  for (const document of documents.slice(0, -1)) expect(await lab.kubectl(['apply', '--filename=-'], document)).toMatchObject({ code: 0 });
  const { code, stderr } = await lab.kubectl(['apply', '--dry-run=server', '--filename=-'], documents.at(-1));
  expect(code).toBe(1);
  for (const fragment of expected) expect(stderr).toContain(fragment);
});

test.each([...yamlFiles('examples'), ...yamlFiles('test/good-input')])('%s is accepted', async (file) => {
  expect(await lab.kubectl(['apply', '--dry-run=server', `--filename=${file}`])).toMatchObject({ code: 0, stderr: '' });
});

test('few defaults are filled in', async () => {
  await kubectl('apply', '--filename=examples/hello-http.yaml', '--filename=examples/two-versions.yaml');
  expect(await specOf('hello-http')).toEqual({ bundled: 'hello-http', replicas: 1, serviceType: 'ClusterIP', podSecurity: 'Restricted' });
  await kubectl('patch', 'msvc', 'hello-http', '--type=merge', '--patch={"spec":{"traffic":{},"ports":[{"name":"http","port":80}],"bundled":null,"versions":[{"name":"v1","image":"shop"}]}}');
  expect(await specOf('hello-http')).toMatchObject({ traffic: { provider: 'Envoy' }, ports: [{ name: 'http', port: 80, protocol: 'HTTP' }], versions: [{ name: 'v1', image: 'shop', weight: 1 }] });
});

test('two writers may own different versions of one list', async () => {
  const versions = (names: readonly string[]): string =>
    JSON.stringify({ apiVersion: 'microservice-operator.io/v1alpha1', kind: 'Microservice', metadata: { name: 'shared' }, spec: { versions: names.map((name) => ({ name, bundled: 'hello-http' })) } });
  await lab.kubectl(['apply', '--server-side', '--field-manager=one', '--filename=-'], versions(['v1']));
  await lab.kubectl(['apply', '--server-side', '--field-manager=two', '--filename=-'], versions(['v2']));
  expect(await specOf('shared')).toMatchObject({ versions: [{ name: 'v1' }, { name: 'v2' }] });
});

test('kubectl scale works, and not on storage', async () => {
  await kubectl('apply', '--filename=examples/two-versions.yaml', '--filename=examples/register.yaml');
  await kubectl('scale', 'msvc/hello', '--replicas=3');
  expect(await specOf('hello')).toMatchObject({ replicas: 3 });
  const { code, stderr } = await lab.kubectl(['scale', 'msvc/register', '--replicas=2']);
  expect(code).toBe(1);
  expect(stderr).toContain('spec.replicas: Invalid value: spec.storage belongs to one pod: set spec.replicas to 1');
});

test('kubectl get shows what matters', async () => {
  await kubectl('apply', '--filename=examples/two-versions.yaml');
  const condition = { type: 'Ready', status: 'True', reason: 'Settled', message: 'All is well.', lastTransitionTime: '2026-01-01T00:00:00Z' };
  const status = { conditions: [condition], replicas: 4, readyReplicas: 3, traffic: 'v1 90, v2 10', url: 'http://hello.default.svc' };
  await kubectl('patch', 'msvc', 'hello', '--subresource=status', '--type=merge', `--patch=${JSON.stringify({ status })}`);
  const [header, row] = (await kubectl('get', 'msvc', 'hello')).trimEnd().split('\n');
  expect(header?.split(/ {2,}/).slice(0, -1)).toEqual(['NAME', 'READY', 'REASON', 'PODS', 'PODS-READY', 'TRAFFIC', 'URL']);
  expect(row?.split(/ {2,}/).slice(0, -1)).toEqual(['hello', 'True', 'Settled', '4', '3', 'v1 90, v2 10', 'http://hello.default.svc']);
  expect(await kubectl('get', 'all')).toContain('microservice.microservice-operator.io/hello ');
});

test('kubectl explain finds every field', async () => {
  const fieldNames = [...(await kubectl('explain', 'microservice', '--recursive')).matchAll(/^ +(\S+)\t</gm)].map(([, name]) => name);
  expect(fieldNames).toEqual(expect.arrayContaining(['bundled', 'averageUtilization', 'tolerationSeconds', 'mismatchLabelKeys', 'acknowledgedTime']));
  expect(await kubectl('explain', 'microservice.spec.traffic.provider')).toContain('the split only follows');
});

test('a field that nobody knows is dropped where kubectl does not refuse it', async () => {
  const manifest = { apiVersion: 'microservice-operator.io/v1alpha1', kind: 'Microservice', metadata: { name: 'unknown' }, spec: { bundled: 'hello-http', replica: 2 } };
  await lab.kubectl(['apply', '--validate=false', '--filename=-'], JSON.stringify(manifest));
  expect(await specOf('unknown')).not.toHaveProperty('replica');
});

async function specOf(name: string): Promise<unknown> {
  const { spec }: { spec: unknown } = JSON.parse(await kubectl('get', 'msvc', name, '--output=json'));
  return spec;
}
