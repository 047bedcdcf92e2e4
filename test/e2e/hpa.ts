import { resourceKinds } from '../../src/cluster/resource-kind.ts';
import type { Deployment } from '../../src/desired/observed.ts';
import { entries } from './audit.ts';
import type { Figures } from './figures.ts';
import { NAMESPACE, untilReady, type NodeCluster } from './node-cluster.ts';
import { until } from './until.ts';

const NAME = 'busy';

/** CPU load on an autoscaled service: seconds until the HPA has raised its replicas, and how often the operator lowered them (never, it is hoped). */
export async function hpaUp(cluster: NodeCluster): Promise<Figures> {
  const spec = {
    bundled: 'hello-http',
    env: [{ name: 'LOAD_ENDPOINT', value: 'true' }],
    resources: { requests: { cpu: '50m', memory: '64Mi' } },
    autoscaling: { minReplicas: 1, maxReplicas: 4, metrics: [{ type: 'CPU', averageUtilization: 60 }] },
  };
  await cluster.apply(JSON.stringify({ apiVersion: 'microservice-operator.io/v1alpha1', kind: 'Microservice', metadata: { name: NAME, namespace: NAMESPACE }, spec }));
  await untilReady(cluster, NAME);
  const port = await cluster.lab.publish({ namespace: NAMESPACE, name: NAME, port: 80 });
  const stop = new AbortController();
  const startedMs = performance.now();
  const load = burn(port, stop.signal);
  try {
    await until('the HPA has raised the replicas', 180_000, async () => {
      const live = await cluster.client.get<Deployment>(resourceKinds.deployment, { namespace: NAMESPACE, name: `${NAME}--main` });
      if ((live?.spec.replicas ?? 0) < 2) throw new Error(`${live?.spec.replicas} replica`);
    });
  } finally {
    stop.abort();
    await load;
  }
  const raisedMs = performance.now() - startedMs;
  // An edit of something else, and a pass after it, must leave the number alone.
  await cluster.client.mergePatch(resourceKinds.microservice, { namespace: NAMESPACE, name: NAME }, { spec: { podAnnotations: { edited: 'yes' } } });
  await untilReady(cluster, NAME);
  const live = await cluster.client.get<Deployment>(resourceKinds.deployment, { namespace: NAMESPACE, name: `${NAME}--main` });
  const byOperator = entries(cluster.lab.auditLogPath ?? '').filter(({ requestURI }) => requestURI.includes(`deployments/${NAME}--main`) && requestURI.includes('fieldManager=microservice-operator-replicas'));
  // Its way down takes minutes and would be no steady state.
  await cluster.lab.kubectl(['delete', 'microservice', NAME, `--namespace=${NAMESPACE}`]);
  return { hpa_up_s: Math.round(raisedMs / 100) / 10, replicas_lowered_by_operator: byOperator.length + ((live?.spec.replicas ?? 0) < 2 ? 1 : 0) };
}

/** Asks for about half a core of work, in small pieces, until told to stop. */
async function burn(port: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await fetch(`http://127.0.0.1:${port}/-/load?ms=200`, { signal }).then((answer) => answer.text(), () => '');
}
