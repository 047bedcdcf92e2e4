import { readdirSync, readFileSync } from 'node:fs';
import type { KubernetesObject } from '../../src/api/kubernetes-object.ts';
import type { Microservice } from '../../src/api/microservice.ts';
import { resourceKinds } from '../../src/cluster/resource-kind.ts';
import type { Figures } from './figures.ts';
import { failures, Load, type RequestOnce } from './load.ts';
import { NAMESPACE, OPERATOR_NAMESPACE, type NodeCluster } from './node-cluster.ts';
import { until } from './until.ts';

/** A new version is added and takes over, and the leader is killed with SIGKILL as soon as the first child of the change exists. */
export async function failovers(cluster: NodeCluster, request: RequestOnce): Promise<Figures> {
  const { client } = cluster;
  const load = new Load(request, 60);
  const leader = await leaderPod(cluster);
  const versions = [
    { name: 'v2', bundled: 'hello-http', weight: 50 },
    { name: 'v3', bundled: 'hello-http', weight: 50 },
  ];
  await client.mergePatch(resourceKinds.microservice, { namespace: NAMESPACE, name: 'hello' }, { spec: { versions } });
  await until('the change has begun', 5_000, async () => {
    if (!(await client.get(resourceKinds.service, { namespace: NAMESPACE, name: 'hello--v3' }))) throw new Error('no child yet');
  });
  process.kill(processOf(leader), 'SIGKILL');
  const killedMs = performance.now();
  await until('the change has converged', 120_000, async () => {
    const found = await client.get<Microservice>(resourceKinds.microservice, { namespace: NAMESPACE, name: 'hello' });
    const weights = found?.status?.versions?.map(({ name, weight }) => `${name} ${weight?.acknowledged}`).join();
    const isCurrent = found?.status?.observedGeneration === found?.metadata.generation;
    if (!isCurrent || weights !== 'v2 50,v3 50') throw new Error(`${weights}, generation ${found?.status?.observedGeneration} of ${found?.metadata.generation}`);
  });
  const convergedMs = performance.now() - killedMs;
  const samples = await load.stop();
  for (const { failure } of failures(samples).slice(0, 3)) process.stdout.write(`    failed during the fail-over: ${failure}\n`);
  return { failover_s: Math.round(convergedMs / 100) / 10, failover_sent: samples.length, failover_failed: failures(samples).length };
}

async function leaderPod({ client }: NodeCluster): Promise<string> {
  const lease = await client.get<KubernetesObject & { readonly spec?: { readonly holderIdentity?: string } }>(resourceKinds.lease, { namespace: OPERATOR_NAMESPACE, name: 'microservice-operator' });
  const pod = lease?.spec?.holderIdentity?.split('_')[0];
  if (!pod) throw new Error('nobody leads');
  return pod;
}

/** The operator's process as this machine sees it: by the pod's name in its environment. */
function processOf(pod: string): number {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`POD_NAME=${pod}`)) return Number(pid);
    } catch {
      // Ended in the meantime, or not ours to read.
    }
  }
  throw new Error(`no process of pod ${pod}`);
}
