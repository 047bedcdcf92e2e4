/** The main job on a real node, the operator in the cluster. Prints what it found as `figures:`; fails when a promise is broken. */
import { resourceKinds } from '../../src/cluster/resource-kind.ts';
import type { KubernetesObject } from '../../src/api/kubernetes-object.ts';
import type { Microservice } from '../../src/api/microservice.ts';
import { operatorWrites, written } from './audit.ts';
import { failovers } from './failover.ts';
import { report, type Figures } from './figures.ts';
import { helloGrpcClient, helloHttpClient } from './hello-client.ts';
import { hpaUp } from './hpa.ts';
import { failures, Load, nowMs, sendAll, share, threeSigma, type RequestOnce, type Sample } from './load.ts';
import { NAMESPACE, OPERATOR_NAMESPACE, startNodeCluster, step, untilReady, type NodeCluster } from './node-cluster.ts';
import { repairs } from './repair.ts';
import { elapsed, until } from './until.ts';

const microservice = (name: string, spec: object): string =>
  JSON.stringify({ apiVersion: 'microservice-operator.io/v1alpha1', kind: 'Microservice', metadata: { name, namespace: NAMESPACE }, spec });

const split = (bundled: string, v1: number, v2: number): object => ({ replicas: 2, versions: versions(bundled, v1, v2) });

const versions = (bundled: string, v1: number, v2: number): readonly object[] => [
  { name: 'v1', bundled, weight: v1 },
  { name: 'v2', bundled, weight: v2 },
];

const figures: Figures = {};

await using cluster = await startNodeCluster();
const { lab } = cluster;

await step('two services of two versions are Ready', async () => {
  await cluster.apply(microservice('hello', split('hello-http', 90, 10)));
  await cluster.apply(microservice('greeter', split('hello-grpc', 90, 10)));
  await Promise.all([untilReady(cluster, 'hello'), untilReady(cluster, 'greeter')]);
});
{
  await using http = helloHttpClient(await lab.publish({ namespace: NAMESPACE, name: 'hello', port: 80 }));
  await using grpc = helloGrpcClient(await lab.publish({ namespace: NAMESPACE, name: 'greeter', port: 50051 }));
  await step('requests at 90/10', () => steadySplit('http', http.request));
  await step('calls at 90/10', () => steadySplit('grpc', grpc.request));
  await step('the split is edited under load', () => edits(http.request, grpc.request));
  await step('the leader is killed in the middle of a change', async () => Object.assign(figures, await failovers(cluster, http.request)));
}
await step('an autoscaler raises the replicas', async () => Object.assign(figures, await hpaUp(cluster)));
await step('every child is deleted and edited', async () => Object.assign(figures, await repairs(cluster)));
await step('60 s of steady state, then a restart of the operator', () => steadyState(cluster));
await step('everything is deleted', () => uninstall(cluster));
report('main-job', figures, {
  http_sent: (value) => value >= 2500,
  grpc_sent: (value) => value >= 2500,
  http_failed: (value) => value === 0,
  grpc_failed: (value) => value === 0,
  http_share_v2: (value) => Math.abs(value - 0.1) <= threeSigma(0.1, Number(figures['http_sent'])),
  grpc_share_v2: (value) => Math.abs(value - 0.1) <= threeSigma(0.1, Number(figures['grpc_sent'])),
  edit_sent: (value) => value >= 2000,
  edit_failed: (value) => value === 0,
  edit_ack_ms_max: (value) => value <= 1000,
  edit_first_request_ms_max: (value) => value <= 2000,
  hpa_up_s: (value) => value <= 120,
  replicas_lowered_by_operator: (value) => value === 0,
  repair_s_max: (value) => value <= 5,
  idle_writes_60s: (value) => value === 0,
  restart_writes: (value) => value === 0,
  failover_s: (value) => value <= 25,
  uninstall_leftovers: (value) => value === 0,
});

async function steadySplit(protocol: 'http' | 'grpc', request: RequestOnce): Promise<void> {
  const samples = await sendAll(request, 3000, 8);
  figures[`${protocol}_sent`] = samples.length;
  figures[`${protocol}_failed`] = failures(samples).length;
  figures[`${protocol}_share_v2`] = share(samples, 'v2');
  explain(samples);
}

/** Back and forth, three rounds, both services at once. */
async function edits(http: RequestOnce, grpc: RequestOnce): Promise<void> {
  const load = [new Load(http, 120), new Load(grpc, 60)] as const;
  const ackMs: number[] = [];
  const firstMs: number[] = [];
  const splits = [[50, 50], [0, 100], [90, 10]] as const;
  for (let round = 0; round < 3; round += 1) {
    for (const [v1, v2] of splits) {
      for (const [name, bundled, samples] of [['hello', 'hello-http', load[0].samples], ['greeter', 'hello-grpc', load[1].samples]] as const) {
        const answeredMs = await edit(name, bundled, v1, v2);
        ackMs.push(Math.max(0, (await acknowledgedMs(name, { v1, v2 })) - answeredMs));
        firstMs.push(await firstOnNewSplit(samples, answeredMs, v1, v2));
      }
    }
  }
  const samples = (await Promise.all(load.map((one) => one.stop()))).flat();
  figures['edit_sent'] = samples.length;
  figures['edit_failed'] = failures(samples).length;
  figures['edit_ack_ms_p50'] = ackMs.toSorted((a, b) => a - b)[Math.floor(ackMs.length / 2)] ?? null;
  figures['edit_ack_ms_max'] = Math.max(...ackMs);
  figures['edit_first_request_ms_max'] = Math.max(...firstMs);
  explain(samples);
}

/** Resolves with the moment at which the API server had answered the PATCH. */
async function edit(name: string, bundled: string, v1: number, v2: number): Promise<number> {
  await cluster.client.mergePatch(resourceKinds.microservice, { namespace: NAMESPACE, name }, { spec: { versions: versions(bundled, v1, v2) } });
  return nowMs();
}

/** When the last proxy acknowledged the split, as the receipt in the status says. */
async function acknowledgedMs(name: string, weights: Readonly<Record<string, number>>): Promise<number> {
  return until(`${name} has a receipt for ${JSON.stringify(weights)}`, 10_000, async () => {
    const found = await cluster.client.get<Microservice>(resourceKinds.microservice, { namespace: NAMESPACE, name });
    const receipts = found?.status?.versions?.map((version) => ({ name: version.name, ...version.weight })) ?? [];
    const isCurrent = found?.status?.observedGeneration === found?.metadata.generation && receipts.every((receipt) => receipt.acknowledged === weights[receipt.name]);
    if (!isCurrent) throw new Error(JSON.stringify(receipts));
    return Date.parse(receipts[0]?.acknowledgedTime ?? '');
  });
}

/**
 * How long after the PATCH the first request met the new split. It shows at an edge: with 0 for a version, after the last request that
 * this version answered; else, at the first request that the version with the smaller share before answers.
 */
async function firstOnNewSplit(samples: readonly Sample[], answeredMs: number, v1: number, v2: number): Promise<number> {
  const isNew = ({ version }: Sample): boolean => (v1 === 0 || v1 < v2 ? version === 'v2' : version === 'v1');
  return until(`a request on ${v1}/${v2}`, 10_000, () => {
    const after = samples.filter((sample) => sample.startedMs > answeredMs);
    if (after.length < 50) throw new Error('too few requests yet');
    if (v1 === 0 || v2 === 0) {
      const last = after.findLast((sample) => !isNew(sample) && sample.failure === undefined);
      return last ? last.startedMs - answeredMs : 0;
    }
    const first = after.find(isNew);
    if (!first) throw new Error('none yet');
    return first.startedMs - answeredMs;
  });
}

function explain(samples: readonly Sample[]): void {
  for (const [message, group] of Map.groupBy(failures(samples), (sample) => sample.failure)) process.stdout.write(`    ${group.length} times: ${message}\n`);
}

async function steadyState({ lab: { auditLogPath = '' } }: NodeCluster): Promise<void> {
  await settled(auditLogPath);
  const idleSinceMs = Date.now();
  await elapsed(60_000);
  figures['idle_writes_60s'] = count(operatorWrites(auditLogPath, idleSinceMs));
  const restartMs = Date.now();
  await lab.kubectl(['rollout', 'restart', 'deployment/microservice-operator', `--namespace=${OPERATOR_NAMESPACE}`]);
  await lab.kubectl(['rollout', 'status', 'deployment/microservice-operator', `--namespace=${OPERATOR_NAMESPACE}`, '--timeout=120s']);
  await elapsed(30_000);
  figures['restart_writes'] = count(operatorWrites(auditLogPath, restartMs));
}

function count(writes: readonly Parameters<typeof written>[0][]): number {
  for (const write of writes) process.stdout.write(`    write: ${written(write)}\n`);
  return writes.length;
}

/** No write for 20 s: the autoscalers that were deleted and made again read their metrics every 15 s. */
function settled(auditLogPath: string): Promise<void> {
  return until('the operator has nothing left to write', 120_000, () => {
    if (operatorWrites(auditLogPath, Date.now() - 20_000).length > 0) throw new Error('still writing');
  });
}

async function uninstall({ client }: NodeCluster): Promise<void> {
  await lab.kubectl(['delete', 'microservices', '--all', '--all-namespaces', '--wait']);
  const kinds = [resourceKinds.deployment, resourceKinds.service, resourceKinds.horizontalPodAutoscaler, resourceKinds.podDisruptionBudget, resourceKinds.serviceAccount, resourceKinds.pod, resourceKinds.endpointSlice];
  const left = async (): Promise<readonly KubernetesObject[]> => {
    const lists = await Promise.all(kinds.map((kind) => client.list(kind, { namespace: NAMESPACE, labelSelector: 'app.kubernetes.io/managed-by=microservice-operator' })));
    return lists.flatMap(({ items }) => items);
  };
  // The fleet rests for 30 s, and its pods sleep before they end.
  await until('nothing is left', 150_000, async () => {
    const found = await left();
    figures['uninstall_leftovers'] = found.length;
    if (found.length > 0) throw new Error(found.map(({ kind, metadata }) => `${kind ?? ''}/${metadata.name}`).join(', '));
  }).catch((error: unknown) => process.stdout.write(`    ${String(error)}\n`));
}
