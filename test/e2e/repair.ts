import type { KubernetesObject } from '../../src/api/kubernetes-object.ts';
import { resourceKinds, type ResourceKind } from '../../src/cluster/resource-kind.ts';
import type { Figures } from './figures.ts';
import { NAMESPACE, untilReady, type NodeCluster } from './node-cluster.ts';
import { until } from './until.ts';

const NAME = 'repaired';

interface Child {
  readonly kind: ResourceKind;
  readonly name: string;
  /** A JSON merge patch of something that is ours. */
  readonly edit: Readonly<Record<string, unknown>>;
  readonly isRepaired: (live: KubernetesObject & { readonly spec?: Record<string, unknown>; readonly automountServiceAccountToken?: boolean }) => boolean;
}

const CHILDREN: readonly Child[] = [
  { kind: resourceKinds.deployment, name: `${NAME}--main`, edit: { spec: { revisionHistoryLimit: 9 } }, isRepaired: ({ spec }) => spec?.['revisionHistoryLimit'] === 3 },
  { kind: resourceKinds.service, name: `${NAME}--main`, edit: { spec: { selector: { stray: 'yes', 'microservice-operator.io/version': 'other' } } }, isRepaired: ({ spec }) => selected(spec, 'microservice-operator.io/version') === 'main' },
  { kind: resourceKinds.service, name: NAME, edit: { spec: { selector: { 'microservice-operator.io/component': 'other' } } }, isRepaired: ({ spec }) => selected(spec, 'microservice-operator.io/component') === 'fleet' },
  { kind: resourceKinds.horizontalPodAutoscaler, name: `${NAME}--main`, edit: { spec: { maxReplicas: 9 } }, isRepaired: ({ spec }) => spec?.['maxReplicas'] === 3 },
  { kind: resourceKinds.podDisruptionBudget, name: `${NAME}--main`, edit: { spec: { maxUnavailable: 2 } }, isRepaired: ({ spec }) => spec?.['maxUnavailable'] === 1 },
  { kind: resourceKinds.serviceAccount, name: NAME, edit: { automountServiceAccountToken: true }, isRepaired: (live) => live.automountServiceAccountToken === false },
];

const selected = (spec: Record<string, unknown> | undefined, key: string): unknown => (spec?.['selector'] as Record<string, unknown> | undefined)?.[key];

/** The slowest repair over: each child deleted, each child edited. */
export async function repairs(cluster: NodeCluster): Promise<Figures> {
  const spec = { bundled: 'hello-http', autoscaling: { minReplicas: 2, maxReplicas: 3 } };
  await cluster.apply(JSON.stringify({ apiVersion: 'microservice-operator.io/v1alpha1', kind: 'Microservice', metadata: { name: NAME, namespace: NAMESPACE }, spec }));
  await untilReady(cluster, NAME);
  const seconds: number[] = [];
  for (const child of CHILDREN) {
    seconds.push(await timed(cluster, child, 'edited'), await timed(cluster, child, 'deleted'));
    await untilReady(cluster, NAME);
  }
  return { repair_s_max: Math.round(Math.max(...seconds) * 100) / 100 };
}

async function timed({ client }: NodeCluster, { kind, name, edit, isRepaired }: Child, how: 'edited' | 'deleted'): Promise<number> {
  const ref = { namespace: NAMESPACE, name };
  const before = await client.get(kind, ref);
  if (!before) throw new Error(`${kind.kind} ${name} is not there`);
  if (how === 'edited') await client.mergePatch(kind, ref, edit);
  else await client.remove(before);
  const startedMs = performance.now();
  await until(`${kind.kind} ${name}, ${how}, is repaired`, 30_000, async () => {
    const live = await client.get(kind, ref);
    const isBack = live && (how === 'edited' ? isRepaired(live) : live.metadata.uid !== before.metadata.uid);
    if (!isBack) throw new Error(JSON.stringify(live));
  });
  return (performance.now() - startedMs) / 1000;
}
