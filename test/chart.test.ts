/** The chart as rendered by Helm itself. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { load, loadAll } from 'js-yaml';
import { config } from '../src/config.ts';
import { mustRun, runCommand } from '../lab/run-command.ts';

const chart = 'charts/microservice-operator';

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly rules?: readonly Rule[];
  readonly spec?: { readonly template?: { readonly spec: PodSpec } };
}

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

interface PodSpec {
  readonly containers: readonly { readonly image: string; readonly args: readonly string[] }[];
}

const helm = (...args: string[]): readonly string[] => ['out/bin/kubernetes', 'helm', ...args];

async function rendered(...settings: string[]): Promise<readonly Manifest[]> {
  const text = await mustRun(helm('template', 'release', chart, '--namespace=operator', ...settings));
  const manifests: (Manifest | null)[] = JSON.parse(JSON.stringify(loadAll(text)));
  return manifests.filter((manifest) => manifest !== null);
}

function named(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  const found = manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (!found) throw new Error(`the chart has no ${kind} ${name}`);
  return found;
}

const rulesOf = (manifests: readonly Manifest[]): readonly Rule[] => manifests.flatMap(({ rules }) => rules ?? []);

test('helm lint finds nothing', async () => {
  expect(await mustRun(helm('lint', '--strict', chart))).toContain('1 chart(s) linted, 0 chart(s) failed');
});

test('the CRD in the chart is the one in crds/, and is kept when the chart goes', async () => {
  const crd = named(await rendered(), 'CustomResourceDefinition', 'microservices.microservice-operator.io');
  expect(crd).toEqual(load(readFileSync('crds/microservices.microservice-operator.io.yaml', 'utf8')));
  expect(crd.metadata.annotations).toMatchObject({ 'helm.sh/resource-policy': 'keep' });
  expect((await rendered('--set=crd.install=false')).map(({ kind }) => kind)).not.toContain('CustomResourceDefinition');
});

test('the operator understands the arguments that the chart gives it', async () => {
  const manifests = await rendered('--set=image.tag=1.2', '--set=image.prefix=registry.example.com/ops', '--set=fleet.replicas=3', '--set=workers=4', '--set=logLevel=debug');
  const container = named(manifests, 'Deployment', 'microservice-operator').spec?.template?.spec.containers[0];
  expect(container?.image).toBe('registry.example.com/ops/operator:1.2');
  expect(config(container?.args ?? [], { POD_NAMESPACE: 'operator' }, 'x')).toMatchObject({
    namespace: 'operator',
    imagePrefix: 'registry.example.com/ops',
    imageTag: '1.2',
    fleetImage: 'docker.io/envoyproxy/envoy:distroless-v1.40.0',
    fleetReplicas: 3,
    workers: 4,
    logLevel: 'debug',
    leaderElect: true,
    xdsHost: 'microservice-operator-xds.operator.svc',
    xdsPort: 18_000,
    metricsPort: 8080,
    probePort: 8081,
    checkUninstall: false,
  });
  const guard = named(manifests, 'Job', 'microservice-operator-uninstall-guard').spec?.template?.spec.containers[0];
  expect(config(guard?.args ?? [], { POD_NAMESPACE: 'operator' }, 'x')).toMatchObject({ checkUninstall: true });
});

test('an installation without values needs no argument but those that are the defaults of the operator', async () => {
  const container = named(await rendered(), 'Deployment', 'microservice-operator').spec?.template?.spec.containers[0];
  const environment = { POD_NAMESPACE: 'operator', POD_NAME: 'pod' };
  expect(config(container?.args ?? [], environment, 'x')).toEqual(config([], environment, 'x'));
});

test('no right is a wildcard, and no Secret can be read but two by name', async () => {
  const rules = rulesOf(await rendered());
  expect(rules.length).toBeGreaterThan(10);
  expect(rules.filter((rule) => [...rule.apiGroups, ...rule.resources, ...rule.verbs].includes('*'))).toEqual([]);
  expect(rules.filter(({ resources }) => resources.includes('secrets')).map(({ resourceNames }) => resourceNames)).toEqual([['microservice-fleet-tls'], ['microservice-operator-ca']]);
  expect(rules.filter(({ resources, verbs }) => resources.includes('persistentvolumeclaims') && verbs.includes('delete'))).toEqual([]);
});

test('optional parts appear and disappear', async () => {
  const kinds = async (...settings: string[]): Promise<readonly string[]> => (await rendered(...settings)).map(({ kind }) => kind);
  const usual = await kinds();
  expect(usual).toEqual(expect.arrayContaining(['PodDisruptionBudget', 'Job']));
  expect(usual).not.toContain('NetworkPolicy');
  expect(await kinds('--set=networkPolicy.enabled=true')).toContain('NetworkPolicy');
  expect(await kinds('--set=replicas=1')).not.toContain('PodDisruptionBudget');
  expect(await kinds('--set=uninstallGuard.enabled=false')).not.toContain('Job');
});

test.each([
  ['replica=2', "additional properties 'replica' not allowed"],
  ['fleet.size=2', "additional properties 'size' not allowed"],
  ['replicas=0', '/replicas'],
  ['logLevel=loud', '/logLevel'],
  ['image.prefix=', '/image/prefix'],
])('the value %s is refused', async (setting, expected) => {
  const { code, stderr } = await runCommand(helm('template', 'release', chart, `--set=${setting}`));
  expect(code).toBe(1);
  expect(stderr.replaceAll("at '", '')).toContain(expected);
});

test('values.schema.json describes every value, and nothing else', () => {
  const values: Readonly<Record<string, unknown>> = JSON.parse(JSON.stringify(load(readFileSync(`${chart}/values.yaml`, 'utf8'))));
  const schema: { readonly properties: Readonly<Record<string, unknown>> } = JSON.parse(readFileSync(`${chart}/values.schema.json`, 'utf8'));
  expect(Object.keys(schema.properties).filter((name) => name !== 'global').toSorted()).toEqual(Object.keys(values).toSorted());
});
