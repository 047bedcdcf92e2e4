/** Everything that rolls, rolls under load: pods, proxies, the operator, versions, the provider. No request may fail. Prints what it found as `figures:`. */
import type { KubernetesObject } from '../../src/api/kubernetes-object.ts';
import type { Microservice } from '../../src/api/microservice.ts';
import { resourceKinds } from '../../src/cluster/resource-kind.ts';
import type { Pod, Service } from '../../src/desired/observed.ts';
import { report } from './figures.ts';
import { helloGrpcClient, helloHttpClient } from './hello-client.ts';
import { mustSucceed, NAMESPACE, OPERATOR_NAMESPACE, startNodeCluster, step, untilReady } from './node-cluster.ts';
import { Phases } from './phases.ts';
import { elapsed, until } from './until.ts';

const SERVICES = { hello: 'hello-http', greeter: 'hello-grpc' } as const;
const NAMES = ['hello', 'greeter'] as const;
/** More than every pause of a pod, proxy or drain that ends. */
const ROLL_DEADLINE_MS = 180_000;
/** How long the proxies stay alone with the address of a pod that has ended. */
const AWAY_MS = 10_000;

await using cluster = await startNodeCluster();
const { client, lab } = cluster;

await step('two services are Ready', async () => {
  for (const name of NAMES) {
    const spec = { replicas: 2, versions: [version(name, 'v1', 100)] };
    await cluster.apply(JSON.stringify({ apiVersion: 'microservice-operator.io/v1alpha1', kind: 'Microservice', metadata: { name, namespace: NAMESPACE }, spec }));
  }
  await settled();
});
await using http = helloHttpClient(await lab.publish({ namespace: NAMESPACE, name: 'hello', port: 80 }));
await using grpc = helloGrpcClient(await lab.publish({ namespace: NAMESPACE, name: 'greeter', port: 50051 }));
// kube-proxy follows a new Service with a delay of its own, and a gRPC client that could not connect waits for a second.
await Promise.all([http, grpc].map(({ request }) => until('it answers', 10_000, async () => Promise.all(Array.from({ length: 8 }, request)))));
const phases = new Phases({ http: { request: http.request, perSecond: 100 }, grpc: { request: grpc.request, perSecond: 50 } });

await phases.phase('pods_1', rollPods);
await phases.phase('pods_2', rollPods);
await phases.phase('fleet', async () => {
  await kubectl('rollout', 'restart', 'deployment/microservice-fleet', `--namespace=${NAMESPACE}`);
  await kubectl('rollout', 'status', 'deployment/microservice-fleet', `--namespace=${NAMESPACE}`, '--timeout=180s');
  await settled();
});
await phases.phase('operator', async () => {
  await kubectl('rollout', 'restart', 'deployment/microservice-operator', `--namespace=${OPERATOR_NAMESPACE}`);
  await kubectl('rollout', 'status', 'deployment/microservice-operator', `--namespace=${OPERATOR_NAMESPACE}`, '--timeout=180s');
  await untilLed();
  await settled();
});
await phases.phase('version_added', async () => {
  await patch((name) => ({ versions: [version(name, 'v1', 50), version(name, 'v2', 0)] }));
  await settled();
});
await phases.phase('version_raised', async () => {
  await patch((name) => ({ versions: [version(name, 'v1', 50), version(name, 'v2', 50)] }));
  await settled();
});
await phases.phase('version_removed', async () => {
  await patch((name) => ({ versions: [version(name, 'v1', 100)] }));
  await settled();
});
await phases.phase('control_plane_away', async () => {
  await kubectl('scale', 'deployment/microservice-operator', '--replicas=0', `--namespace=${OPERATOR_NAMESPACE}`);
  await until('the operator is gone', ROLL_DEADLINE_MS, async () => noPods(await pods(OPERATOR_NAMESPACE)));
  const deleted = await Promise.all(NAMES.map(deleteOnePod));
  await until('the deleted pods have ended', ROLL_DEADLINE_MS, async () => noPods((await pods(NAMESPACE)).filter(({ metadata }) => deleted.includes(metadata.name))));
  await elapsed(AWAY_MS);
  await kubectl('scale', 'deployment/microservice-operator', '--replicas=2', `--namespace=${OPERATOR_NAMESPACE}`);
  await untilLed();
  await settled();
});
// Last, because kube-proxy leaves connections where they are: these clients stay at the pods until the pods end.
await phases.phase('provider_service', async () => {
  await patch(() => ({ traffic: { provider: 'Service' } }));
  await until('the fleet is gone', ROLL_DEADLINE_MS, async () => {
    if (await client.get(resourceKinds.deployment, { namespace: NAMESPACE, name: 'microservice-fleet' })) throw new Error('it is still there');
  });
  await settled();
});
await phases.phase('pods_behind_service', rollPods);
await phases.phase('provider_envoy', async () => {
  await patch(() => ({ traffic: { provider: 'Envoy' } }));
  await until('the Services point at the fleet', ROLL_DEADLINE_MS, pointAtFleet);
  await settled();
});
const figures = await phases.stop('rolls');
report('rolls', figures, {
  rolls_sent: (value) => value >= 30_000,
  ...Object.fromEntries(Object.keys(figures).filter((key) => key.endsWith('_failed')).map((key) => [key, (value: number) => value === 0])),
});

function version(name: (typeof NAMES)[number], versionName: string, weight: number): object {
  return { name: versionName, bundled: SERVICES[name], weight };
}

async function rollPods(): Promise<void> {
  await patch(() => ({ restartedAt: new Date().toISOString() }));
  await settled();
}

/** Merges into the spec of both services. */
async function patch(spec: (name: (typeof NAMES)[number]) => Readonly<Record<string, unknown>>): Promise<void> {
  await Promise.all(NAMES.map((name) => client.mergePatch(resourceKinds.microservice, { namespace: NAMESPACE, name }, { spec: spec(name) })));
}

/** Both services are Ready, nothing of a removed version is left, and no pod is on its way out. */
async function settled(): Promise<void> {
  await Promise.all(NAMES.map((name) => untilReady(cluster, name, { deadlineMs: ROLL_DEADLINE_MS })));
  await until('what was replaced is gone', ROLL_DEADLINE_MS, async () => {
    noPods((await pods(NAMESPACE)).filter(({ metadata }) => metadata.deletionTimestamp !== undefined));
    await Promise.all(NAMES.map(noStrayVersion));
  });
}

async function noStrayVersion(name: string): Promise<void> {
  const microservice = await client.get<Microservice>(resourceKinds.microservice, { namespace: NAMESPACE, name });
  const wanted = new Set(microservice?.spec.versions?.map((candidate) => `${name}--${candidate.name}`));
  const { items } = await client.list<Service>(resourceKinds.service, { namespace: NAMESPACE, labelSelector: `microservice-operator.io/microservice=${name}` });
  const stray = items.find(({ metadata }) => metadata.name !== name && !wanted.has(metadata.name));
  if (stray) throw new Error(`Service ${stray.metadata.name} is still there`);
}

async function pointAtFleet(): Promise<void> {
  for (const name of NAMES) {
    const service = await client.get<Service>(resourceKinds.service, { namespace: NAMESPACE, name });
    if (service?.spec.selector?.['microservice-operator.io/component'] !== 'fleet') throw new Error(`Service ${name} selects ${JSON.stringify(service?.spec.selector)}`);
  }
}

/** A pod that exists now holds the lease. */
async function untilLed(): Promise<void> {
  await until('somebody leads', ROLL_DEADLINE_MS, async () => {
    const lease = await client.get<KubernetesObject & { readonly spec?: { readonly holderIdentity?: string } }>(resourceKinds.lease, { namespace: OPERATOR_NAMESPACE, name: 'microservice-operator' });
    const holder = lease?.spec?.holderIdentity?.split('_')[0];
    const living = (await pods(OPERATOR_NAMESPACE)).filter(({ metadata }) => metadata.deletionTimestamp === undefined).map(({ metadata }) => metadata.name);
    if (!living.includes(holder ?? '')) throw new Error(`${holder} holds the lease, and there are ${living.join(', ')}`);
  });
}

async function deleteOnePod(name: string): Promise<string> {
  const [pod] = await pods(NAMESPACE, `microservice-operator.io/microservice=${name}`);
  if (!pod) throw new Error(`${name} has no pod`);
  await client.remove({ ...pod, apiVersion: 'v1', kind: 'Pod' });
  return pod.metadata.name;
}

async function pods(namespace: string, labelSelector?: string): Promise<readonly Pod[]> {
  return (await client.list<Pod>(resourceKinds.pod, { namespace, ...(labelSelector === undefined ? {} : { labelSelector }) })).items;
}

function noPods(found: readonly Pod[]): void {
  if (found.length > 0) throw new Error(`there are still ${found.map(({ metadata }) => metadata.name).join(', ')}`);
}

async function kubectl(...args: readonly string[]): Promise<void> {
  mustSucceed(await lab.kubectl(args));
}
