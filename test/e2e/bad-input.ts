/** Bad input on a real node: what the API server refuses, and what is accepted but impossible. Prints what it found as `figures:`. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Microservice } from '../../src/api/microservice.ts';
import { resourceKinds } from '../../src/cluster/resource-kind.ts';
import type { Pod } from '../../src/desired/observed.ts';
import { report, type Figures } from './figures.ts';
import { helloHttpClient } from './hello-client.ts';
import { failures, Load } from './load.ts';
import { NAMESPACE, OPERATOR_NAMESPACE, startNodeCluster, step, untilReady } from './node-cluster.ts';
import { until } from './until.ts';

const BAD = 'test/bad-input';

interface Impossible {
  readonly name: string;
  /** Merged into the spec of a Microservice that works. */
  readonly spoil: Readonly<Record<string, unknown>>;
  /** Merged afterwards: the correction. */
  readonly correct: Readonly<Record<string, unknown>>;
  /** The reason that has to appear among the blockers. */
  readonly reason: string;
  /** Something in the cluster that has to be there first. */
  readonly before?: object;
}

const IMPOSSIBLE: readonly Impossible[] = [
  {
    name: 'image-missing',
    spoil: { bundled: null, image: 'localhost:1/no/such-image:1', ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
    correct: { bundled: 'hello-http', image: null, ports: null },
    reason: 'ImagePullFailed',
  },
  { name: 'config-map-missing', spoil: { envFrom: [{ configMapRef: { name: 'absent' } }] }, correct: { envFrom: null }, reason: 'ConfigMapMissing' },
  { name: 'secret-missing', spoil: { envFrom: [{ secretRef: { name: 'absent' } }] }, correct: { envFrom: null }, reason: 'ContainerConfigInvalid' },
  { name: 'volume-missing', spoil: { files: [{ mountPath: '/etc/absent', secret: 'absent' }] }, correct: { files: null }, reason: 'VolumesPending' },
  { name: 'crash', spoil: { command: ['/usr/local/bin/node', '--no-such-flag'] }, correct: { command: null }, reason: 'CrashLoop' },
  { name: 'unschedulable', spoil: { scheduling: { nodeSelector: { absent: 'yes' } } }, correct: { scheduling: null }, reason: 'Unschedulable' },
  { name: 'probe-failing', spoil: { probes: { readiness: { httpGet: { path: '/no/such/path/at/all' } } } }, correct: { probes: null }, reason: 'ProbeFailing' },
  {
    name: 'quota',
    before: { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'tight' }, spec: { hard: { 'requests.memory': '4Gi' } } },
    spoil: { resources: { requests: { cpu: '50m', memory: '8Gi' } } },
    correct: { resources: null },
    reason: 'QuotaExceeded',
  },
];

const figures: Figures = {};
await using cluster = await startNodeCluster();
await step('refused at apply', refused);
await step('accepted but impossible', impossible);
figures['operator_restarts'] = await operatorRestarts();
report('bad-input', figures, {
  refused_cases: (value) => value >= 20,
  refused_without_field_name: (value) => value === 0,
  impossible_cases: (value) => value === IMPOSSIBLE.length,
  impossible_report_s_max: (value) => value <= 10,
  impossible_recover_s_max: (value) => value <= 30,
  serving_lost: (value) => value === 0,
  operator_restarts: (value) => value === 0,
});

/** The last document of each file has to be refused with the words in its `# expect:` lines; documents before it are there first. */
async function refused(): Promise<void> {
  const files = readdirSync(BAD).filter((file) => file.endsWith('.yaml'));
  let unnamed = 0;
  for (const file of files) {
    const text = readFileSync(`${BAD}/${file}`, 'utf8');
    const documents = text.split(/^---$/m);
    for (const document of documents.slice(0, -1)) await cluster.apply(document);
    const { code, stderr } = await cluster.lab.kubectl(['apply', '--filename=-'], documents.at(-1) ?? '');
    const expected = [...text.matchAll(/^# expect: (.*)$/gm)].map((match) => match[1] ?? '');
    const isNamed = code !== 0 && expected.length > 0 && expected.every((words) => stderr.includes(words));
    if (!isNamed) {
      unnamed += 1;
      process.stdout.write(`    ${file}: ${code === 0 ? 'was accepted' : stderr.trim()}\n`);
    }
  }
  await cluster.lab.kubectl(['delete', 'microservices', '--all', '--namespace=default']);
  figures['refused_cases'] = files.length;
  figures['refused_without_field_name'] = unnamed;
}

/** Each case spoils a Microservice that serves: the blocker has to name the cause, the old pods go on, and the correction is enough. */
async function impossible(): Promise<void> {
  const reportS: number[] = [];
  const recoverS: number[] = [];
  let lost = 0;
  for (const example of IMPOSSIBLE) {
    const found = await one(example);
    reportS.push(found.reportS);
    recoverS.push(found.recoverS);
    lost += found.lost;
    process.stdout.write(`    ${example.name}: reported after ${found.reportS.toFixed(1)} s, recovered after ${found.recoverS.toFixed(1)} s, lost ${found.lost}: ${found.message}\n`);
  }
  figures['impossible_cases'] = IMPOSSIBLE.length;
  figures['impossible_report_s_max'] = round(Math.max(...reportS));
  figures['impossible_recover_s_max'] = round(Math.max(...recoverS));
  figures['serving_lost'] = lost;
}

async function one({ name, spoil, correct, reason, before }: Impossible): Promise<{ readonly reportS: number; readonly recoverS: number; readonly lost: number; readonly message: string }> {
  const ref = { namespace: NAMESPACE, name };
  await cluster.apply(JSON.stringify({ apiVersion: 'microservice-operator.io/v1alpha1', kind: 'Microservice', metadata: ref, spec: { bundled: 'hello-http' } }));
  await untilReady(cluster, name);
  if (before) await cluster.lab.kubectl(['apply', `--namespace=${NAMESPACE}`, '--filename=-'], JSON.stringify(before));
  await using http = helloHttpClient(await cluster.lab.publish({ ...ref, port: 80 }), 2);
  // kube-proxy takes up to a second to know a new Service.
  await until(`${name} answers`, 10_000, http.request);
  const load = new Load(http.request, 20);
  const spoiledMs = performance.now();
  await cluster.client.mergePatch(resourceKinds.microservice, ref, { spec: spoil });
  const message = await until(`${name}: blocker ${reason}`, 60_000, async () => {
    const { status } = (await cluster.client.get<Microservice>(resourceKinds.microservice, ref)) ?? {};
    const blocker = status?.blockers?.find((candidate) => candidate.reason === reason);
    if (!blocker) throw new Error(JSON.stringify(status?.blockers ?? []));
    return blocker.message;
  });
  const reportS = (performance.now() - spoiledMs) / 1000;
  const correctedMs = performance.now();
  await cluster.client.mergePatch(resourceKinds.microservice, ref, { spec: correct });
  await untilReady(cluster, name);
  const recoverS = (performance.now() - correctedMs) / 1000;
  const lost = failures(await load.stop());
  for (const { failure } of lost.slice(0, 3)) process.stdout.write(`    ${name}: ${failure}\n`);
  await cluster.lab.kubectl(['delete', 'microservice', name, `--namespace=${NAMESPACE}`]);
  if (before) await cluster.lab.kubectl(['delete', `--namespace=${NAMESPACE}`, '--filename=-'], JSON.stringify(before));
  return { reportS, recoverS, lost: lost.length, message };
}

async function operatorRestarts(): Promise<number> {
  const { items } = await cluster.client.list<Pod>(resourceKinds.pod, { namespace: OPERATOR_NAMESPACE });
  return items.flatMap((pod) => pod.status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0);
}

function round(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}
