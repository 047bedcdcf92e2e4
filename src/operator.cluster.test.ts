/** The operator from source, with the rights of the chart, against a real API server and its controllers. */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { load } from 'js-yaml';
import { freePorts } from '../lab/free-ports.ts';
import { startLab, type Lab } from '../lab/lab.ts';
import { auditedRequests, auditedWrites, type AuditedRequest } from '../test/audit-log.ts';
import { ClusterClient } from '../test/cluster-client.ts';
import { OperatorProcess } from '../test/operator-process.ts';
import { installOperatorRights, isForbidden, usedPermissions, type OperatorRights } from '../test/operator-rights.ts';
import { PlayedKubelet } from '../test/played-kubelet.ts';
import { PlayedProxy } from '../test/played-proxy.ts';
import type { KubernetesObject, ObjectMeta, OwnerReference } from './api/kubernetes-object.ts';
import type { Condition, Microservice, MicroserviceSpec, VersionSpec } from './api/microservice.ts';
import type { Lease } from './cluster/lease.ts';
import { resourceKindOf, resourceKinds, type ResourceKind } from './cluster/resource-kind.ts';
import type { Manifest } from './desired/manifest.ts';
import { API_VERSION, LABEL } from './desired/names.ts';
import type { Deployment, Pod, Service } from './desired/observed.ts';
import { eventually } from './engine/eventually.ts';

const OPERATOR_NAMESPACE = 'operator';
const REPAIR_MS = 5_000;
/** The garbage collector looks for new kinds of owners every 30 s only, and the CRD is new. */
const COLLECTED_MS = 45_000;
const CHILD_KINDS: readonly ResourceKind[] = [
  resourceKinds.deployment,
  resourceKinds.horizontalPodAutoscaler,
  resourceKinds.podDisruptionBudget,
  resourceKinds.service,
  resourceKinds.serviceAccount,
  resourceKinds.persistentVolumeClaim,
];

const figures: Record<string, unknown> = {};
let lab: Lab;
let auditLogPath: string;
let client: ClusterClient;
let kubelet: PlayedKubelet;
let rights: OperatorRights;
let operator: OperatorProcess;
let xdsPort: number;
const proxies: PlayedProxy[] = [];

beforeAll(async () => {
  lab = await startLab({ profile: 'api', auditLog: true });
  auditLogPath = lab.auditLogPath ?? '';
  client = new ClusterClient(lab.kubeconfigPath);
  rights = await installOperatorRights(lab, OPERATOR_NAMESPACE);
  kubelet = new PlayedKubelet(client);
  await kubelet.start();
  [xdsPort = 0] = await freePorts(1);
  operator = await startOperator('first');
}, 60_000);

afterAll(async () => {
  await operator.end('SIGKILL');
  kubelet.stop();
  for (const proxy of proxies) proxy.stop();
  client.close();
  await lab.stop();
  console.log(`figures: ${JSON.stringify(figures)}`);
});

const startOperator = (podName: string): Promise<OperatorProcess> => OperatorProcess.start({ kubeconfigPath: rights.kubeconfigPath, namespace: OPERATOR_NAMESPACE, podName, xdsPort });

const SERVICE: MicroserviceSpec = { bundled: 'hello-http', traffic: { provider: 'Service' } };
const AUTOSCALED: MicroserviceSpec = { ...SERVICE, autoscaling: { minReplicas: 2, maxReplicas: 6 } };

const createNamespace = (name: string, labels: Readonly<Record<string, string>> = {}): Promise<KubernetesObject> => client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });

const createMicroservice = (namespace: string, name: string, spec: MicroserviceSpec): Promise<Microservice> =>
  client.create<Microservice>({ apiVersion: API_VERSION, kind: 'Microservice', metadata: { namespace, name }, spec });

const microserviceOf = (namespace: string, name: string): Promise<Microservice> => client.get<Microservice>(resourceKinds.microservice, { namespace, name });

const changeSpec = (namespace: string, name: string, spec: object): Promise<void> => client.patch(resourceKinds.microservice, { namespace, name }, { spec });

const conditionOf = ({ status }: Microservice, type: string): Condition | undefined => status?.conditions?.find((condition) => condition.type === type);

const refOf = ({ metadata: { namespace, name } }: KubernetesObject): { namespace: string; name: string } => ({ namespace: namespace ?? '', name });

const idOf = ({ kind, metadata }: KubernetesObject): string => `${kind}/${metadata.name}`;

async function objectsOf(namespace: string, labelSelector: string): Promise<readonly Manifest[]> {
  const lists = await Promise.all(CHILD_KINDS.map((kind) => client.list<Manifest>(kind, namespace, labelSelector)));
  return lists.flat().toSorted((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
}

const childrenOf = (namespace: string, name: string): Promise<readonly Manifest[]> => objectsOf(namespace, `${LABEL.microservice}=${name}`);
const fleetOf = (namespace: string): Promise<readonly Manifest[]> => objectsOf(namespace, `${LABEL.component}=fleet`);
const idsOf = async (objects: Promise<readonly KubernetesObject[]>): Promise<readonly string[]> => (await objects).map(idOf);

const deploymentOf = (namespace: string, name: string): Promise<Deployment> => client.get<Deployment>(resourceKinds.deployment, { namespace, name });

/** The operator has seen the Microservice as it is now, and has nothing more to say about it. */
async function settled(namespace: string, name: string): Promise<Microservice> {
  const seen = async (): Promise<Microservice> => {
    const microservice = await microserviceOf(namespace, name);
    expect(microservice.status?.observedGeneration).toBe(microservice.metadata.generation);
    return microservice;
  };
  await eventually(seen, 15_000);
  return seen();
}

async function isReady(namespace: string, name: string): Promise<void> {
  await eventually(async () => {
    const microservice = await settled(namespace, name);
    expect(conditionOf(microservice, 'Ready')).toMatchObject({ status: 'True', reason: 'AllReady' });
  }, 20_000);
}

/** Milliseconds until `check` holds. */
async function timed(check: () => unknown, deadlineMs: number): Promise<number> {
  const startedMs = performance.now();
  await eventually(check, deadlineMs);
  return Math.round(performance.now() - startedMs);
}

const note = (figure: string, ms: number): void => {
  figures[figure] = Math.max(Number(figures[figure] ?? 0), Math.round(ms / 10) / 100);
};

/** The operator has not looked at it for a second: what happens next is not the end of what happened before. */
const unlooked = (key: string): Promise<void> => eventually(() => Date.now() - Math.max(0, ...operator.passes(key)) > 1_000, 15_000);

const blockerReasons = async (namespace: string, name: string): Promise<readonly string[]> => ((await microserviceOf(namespace, name)).status?.blockers ?? []).map(({ reason }) => reason);

/** A proxy for each Ready pod of the fleet, which has to be served by the kubelet, until the end of all tests. */
async function playProxies(namespace: string): Promise<void> {
  const readyPods = async (): Promise<readonly Pod[]> => {
    const pods = await client.list<Pod>(resourceKinds.pod, namespace, `${LABEL.component}=fleet`);
    return pods.filter((pod) => pod.status?.phase === 'Running');
  };
  await eventually(async () => expect(await readyPods()).toHaveLength(2), 15_000);
  const { data } = await client.get<KubernetesObject & { data: Record<string, string> }>(resourceKinds.secret, { namespace, name: 'microservice-fleet-tls' });
  const file = (name: string): Buffer => Buffer.from(data[name] ?? '', 'base64');
  const tls = { ca: file('ca.crt'), key: file('tls.key'), certificate: file('tls.crt') };
  const serverName = `microservice-operator-xds.${OPERATOR_NAMESPACE}.svc`;
  proxies.push(...(await readyPods()).map((pod) => new PlayedProxy({ nodeId: pod.metadata.uid ?? '', tls, serverName, port: xdsPort })));
}

const FLEET_IDS = ['Deployment/microservice-fleet', 'PodDisruptionBudget/microservice-fleet', 'Service/microservice-fleet', 'ServiceAccount/microservice-fleet'];

const plain = (name: string): readonly string[] => [`Deployment/${name}--main`, `Service/${name}`, `Service/${name}--main`, `ServiceAccount/${name}`];

const EXAMPLES: Readonly<Record<string, { readonly children: readonly string[]; readonly pods: number }>> = {
  'autoscaling.yaml': { children: ['HorizontalPodAutoscaler/hello-autoscaled--main', 'PodDisruptionBudget/hello-autoscaled--main', ...plain('hello-autoscaled')], pods: 2 },
  'hello-grpc.yaml': { children: ['PodDisruptionBudget/hello-grpc--main', ...plain('hello-grpc')], pods: 2 },
  'hello-http.yaml': { children: plain('hello-http'), pods: 1 },
  'load-balancer.yaml': { children: ['PodDisruptionBudget/hello-public--main', ...plain('hello-public')], pods: 3 },
  'register.yaml': { children: ['PersistentVolumeClaim/register-storage', ...plain('register')], pods: 1 },
  'two-versions.yaml': {
    children: ['v1', 'v2'].flatMap((version) => [`Deployment/hello--${version}`, `PodDisruptionBudget/hello--${version}`, `Service/hello--${version}`]).concat('Service/hello', 'ServiceAccount/hello'),
    pods: 4,
  },
};

const readExample = (file: string): Microservice => JSON.parse(JSON.stringify(load(readFileSync(`examples/${file}`, 'utf8'))));

test.concurrent('every example becomes exactly its children, with pods, in a namespace that enforces restricted pods, and proxies in front', async () => {
  const namespace = 'examples';
  await createNamespace(namespace, { 'pod-security.kubernetes.io/enforce': 'restricted' });
  kubelet.serve(namespace);
  expect(readdirSync('examples').toSorted()).toEqual(Object.keys(EXAMPLES));
  const examples = Object.entries(EXAMPLES).map(([file, expected]) => ({ ...expected, microservice: readExample(file) }));
  const startedMs = performance.now();
  for (const { microservice } of examples) await createMicroservice(namespace, microservice.metadata.name, microservice.spec);
  await playProxies(namespace);
  for (const { microservice, children, pods } of examples) await expectExample(namespace, microservice.metadata.name, { children, pods });
  expect(await idsOf(fleetOf(namespace))).toEqual(FLEET_IDS);
  note('examples_ready_s', performance.now() - startedMs);
  await expectFieldManagers(namespace);
  expect((await microserviceOf(namespace, 'hello')).status).toMatchObject({ traffic: 'v1 90, v2 10', replicas: 4, readyReplicas: 4, versions: [{ weight: { desired: 90, applied: 90, acknowledged: 90 } }, { weight: { desired: 10, applied: 10, acknowledged: 10 } }] });
}, 60_000);

async function expectExample(namespace: string, name: string, { children, pods }: { readonly children: readonly string[]; readonly pods: number }): Promise<void> {
  await eventually(async () => expect(await idsOf(childrenOf(namespace, name))).toEqual(children.toSorted()), 15_000);
  const { metadata } = await microserviceOf(namespace, name);
  const owner = { apiVersion: API_VERSION, kind: 'Microservice', name, uid: metadata.uid, controller: true };
  for (const child of await childrenOf(namespace, name)) {
    expect([idOf(child), child.metadata.ownerReferences]).toEqual([idOf(child), child.kind === 'PersistentVolumeClaim' ? undefined : [owner]]);
  }
  await eventually(async () => expect(await client.list(resourceKinds.pod, namespace, `${LABEL.microservice}=${name}`)).toHaveLength(pods), 10_000);
  await eventually(async () => expect(conditionOf(await microserviceOf(namespace, name), 'Ready')).toMatchObject({ status: 'True' }), 20_000);
}

type Managed = KubernetesObject & { readonly metadata: { readonly managedFields?: readonly { readonly manager: string; readonly operation: string; readonly subresource?: string; readonly fieldsV1: Record<string, object> }[] } };

async function expectFieldManagers(namespace: string): Promise<void> {
  const { metadata } = await client.get<Managed>(resourceKinds.deployment, { namespace, name: 'hello--v1' });
  const ours = new Map(metadata.managedFields?.filter(({ operation }) => operation === 'Apply').map(({ manager, fieldsV1 }) => [manager, fieldsV1['f:spec']]));
  expect([...ours.keys()].toSorted()).toEqual(['microservice-operator', 'microservice-operator-replicas']);
  expect(ours.get('microservice-operator')).not.toHaveProperty('f:replicas');
  expect(ours.get('microservice-operator-replicas')).toEqual({ 'f:replicas': {} });
  const microservice = await client.get<Managed>(resourceKinds.microservice, { namespace, name: 'hello' });
  expect(microservice.metadata.managedFields?.filter(({ manager }) => manager.startsWith('microservice-operator')).map(({ manager, subresource }) => [manager, subresource])).toEqual([['microservice-operator-status', 'status']]);
}

const greeting = (name: string, weight: number): VersionSpec => ({ name, bundled: 'hello-http', weight });

test.concurrent('weights get their receipt; the Service in front of the proxies is repaired; a version that is removed drains first', async () => {
  const namespace = 'weights';
  await createNamespace(namespace);
  kubelet.serve(namespace);
  await createMicroservice(namespace, 'hello', { versions: [greeting('v1', 90), greeting('v2', 10)] });
  await playProxies(namespace);
  await isReady(namespace, 'hello');
  await changeSpec(namespace, 'hello', { versions: [greeting('v1', 50), greeting('v2', 50)] });
  const weights = (weight: number): object => ({ weight: { desired: weight, applied: weight, acknowledged: weight, delayMs: expect.any(Number) } });
  await eventually(async () => expect((await microserviceOf(namespace, 'hello')).status).toMatchObject({ traffic: 'v1 50, v2 50', versions: [weights(50), weights(50)] }), REPAIR_MS);

  const service = await client.get<Manifest>(resourceKinds.service, { namespace, name: 'hello' });
  expect(service['spec']).toMatchObject({ selector: { [LABEL.component]: 'fleet' } });
  await expectRepair(service, () => client.patch(resourceKinds.service, refOf(service), { spec: { ports: [{ name: 'http', port: 80, targetPort: 1 }] } }));
  await client.remove(resourceKinds.service, refOf(service));
  note('repair_s_max', await timed(async () => expect(await client.find(resourceKinds.service, refOf(service))).toMatchObject({ spec: { ports: [{ port: 80, targetPort: portOf(service) }] } }), REPAIR_MS));

  await changeSpec(namespace, 'hello', { versions: [greeting('v1', 1)] });
  await settled(namespace, 'hello');
  const second = ['Deployment/hello--v2', 'Service/hello--v2'];
  const drained = await timed(async () => expect(await idsOf(childrenOf(namespace, 'hello'))).not.toEqual(expect.arrayContaining(second)), 20_000);
  expect(drained).toBeGreaterThan(8_000);
  figures['drain_s'] = Math.round(drained / 100) / 10;
  await isReady(namespace, 'hello');
}, 90_000);

const portOf = (service: Manifest): unknown => (service['spec'] as Service['spec']).ports?.[0]?.targetPort;

const DRIFT: Readonly<Record<string, object>> = {
  Deployment: { spec: { template: { spec: { terminationGracePeriodSeconds: 77 } } } },
  HorizontalPodAutoscaler: { spec: { maxReplicas: 9 } },
  PodDisruptionBudget: { spec: { maxUnavailable: 2 } },
  Service: { spec: { selector: { stranger: 'yes' } } },
  ServiceAccount: { automountServiceAccountToken: true },
  PersistentVolumeClaim: { metadata: { labels: { [LABEL.name]: 'another' } } },
};

/** What of an object must come back: everything but what the API server or a controller writes. */
function repaired({ metadata: { labels, annotations, ownerReferences }, ...rest }: Manifest): object {
  const { status: _, ...content } = rest;
  const ours = Object.fromEntries(Object.entries(annotations ?? {}).filter(([key]) => key.startsWith('microservice-operator.io/')));
  return JSON.parse(JSON.stringify({ labels, annotations: ours, ownerReferences, content }));
}

async function expectRepair(child: Manifest, drift: () => Promise<unknown>): Promise<void> {
  const kind = resourceKindOf(child);
  await drift();
  const ms = await timed(async () => {
    const found = await client.find<Manifest>(kind, refOf(child));
    expect(found && repaired(found)).toEqual(repaired(child));
  }, REPAIR_MS);
  note('repair_s_max', ms);
}

async function expectAllRepairs(child: Manifest): Promise<void> {
  const kind = resourceKindOf(child);
  const ref = refOf(child);
  await expectRepair(child, () => client.patch(kind, ref, DRIFT[child.kind] ?? {}));
  const noLabels = Object.fromEntries(Object.keys(child.metadata.labels ?? {}).map((label) => [label, null]));
  await expectRepair(child, () => client.patch(kind, ref, { metadata: { labels: noLabels } }));
  if (child.metadata.ownerReferences) await expectRepair(child, () => client.patch(kind, ref, { metadata: { ownerReferences: null } }));
}

async function expectDeletionRepaired(child: Manifest): Promise<void> {
  const kind = resourceKindOf(child);
  await client.remove(kind, refOf(child));
  note('repair_s_max', await timed(async () => expect((await client.find(kind, refOf(child)))?.metadata.uid ?? child.metadata.uid).not.toBe(child.metadata.uid), REPAIR_MS));
}

test.concurrent('each child that is edited, robbed of its labels or owner, or deleted is repaired within 5 s', async () => {
  const namespace = 'drift';
  await createNamespace(namespace);
  await createMicroservice(namespace, 'scaled', AUTOSCALED);
  await createMicroservice(namespace, 'kept', { ...SERVICE, bundled: 'register', storage: { mountPath: '/data', size: '1Gi' } });
  await createMicroservice(namespace, 'proxied', { bundled: 'hello-http' });
  await eventually(async () => expect(await idsOf(childrenOf(namespace, 'scaled'))).toHaveLength(6), 15_000);
  await eventually(async () => expect(await idsOf(childrenOf(namespace, 'kept'))).toHaveLength(5), 15_000);
  await eventually(async () => expect(await idsOf(fleetOf(namespace))).toEqual(FLEET_IDS), 15_000);
  await Promise.all(['scaled', 'kept', 'proxied'].map((name) => settled(namespace, name)));
  const children = [...(await childrenOf(namespace, 'scaled')), ...(await childrenOf(namespace, 'kept')), ...(await fleetOf(namespace))];
  const results = await Promise.allSettled(children.map((child) => expectAllRepairs(child)));
  expect(results.flatMap((result, index) => (result.status === 'rejected' ? [[children.map(idOf)[index], String(result.reason)]] : []))).toEqual([]);
  await Promise.all(children.map((child) => expectDeletionRepaired(child)));
}, 60_000);

const STRANGERS: readonly ((namespace: string, name: string) => Manifest)[] = [
  (namespace, name) => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace, name: `${name}--main` },
    spec: { replicas: 0, selector: { matchLabels: { a: name } }, template: { metadata: { labels: { a: name } }, spec: { containers: [{ name: 'a', image: 'a' }] } } },
  }),
  (namespace, name) => ({ apiVersion: 'v1', kind: 'Service', metadata: { namespace, name }, spec: { ports: [{ port: 1 }] } }),
  (namespace, name) => ({
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { namespace, name: `${name}--main` },
    spec: { maxReplicas: 3, scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'nothing' } },
  }),
  (namespace, name) => ({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace, name } }),
  (namespace, name) => ({ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { namespace, name: `${name}--main` }, spec: { maxUnavailable: 1, selector: { matchLabels: { a: name } } } }),
];

const asOwner = ({ apiVersion, kind, metadata }: KubernetesObject): OwnerReference => ({ apiVersion, kind, name: metadata.name, uid: metadata.uid ?? '', controller: true });

/** Everything that is not its controller's or the API server's to write. */
const contentOf = (object: Manifest): object => {
  const { status: _, metadata, ...content } = object;
  const { uid, labels, ownerReferences } = metadata;
  return { ...content, uid, labels, ownerReferences, managers: ((metadata as Managed['metadata']).managedFields ?? []).map(({ manager }) => manager).filter((manager) => manager.startsWith('microservice-operator')) };
};

test.concurrent('an object of a stranger with the name of a child is left as it is, and the Microservice says so until it is gone', async () => {
  const namespace = 'strangers';
  await createNamespace(namespace);
  const other = await createMicroservice(namespace, 'other', { ...SERVICE, paused: true });
  const configMap = await client.create<KubernetesObject>({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name: 'owner' } });
  const disguises: readonly ((name: string) => Partial<ObjectMeta>)[] = [
    () => ({}),
    () => ({ ownerReferences: [asOwner(configMap)] }),
    () => ({ ownerReferences: [asOwner(other)] }),
    (name) => ({ labels: { [LABEL.managedBy]: 'microservice-operator', [LABEL.microservice]: name } }),
  ];
  const cases = STRANGERS.flatMap((make, index) => disguises.map((disguise, number) => ({ make, disguise, name: `s${index}${number}` })));
  await Promise.all(cases.map(async ({ make, disguise, name }) => {
    const made = make(namespace, name);
    const stranger: Manifest = { ...made, metadata: { ...made.metadata, ...disguise(name) } };
    const before = contentOf(await client.create<Manifest>(stranger));
    const kind = resourceKindOf(stranger);
    await createMicroservice(namespace, name, AUTOSCALED);
    const conflict = { status: 'False', reason: 'NameConflict', message: expect.stringContaining(idOf(stranger)) };
    note('conflict_report_s_max', await timed(async () => expect(conditionOf(await microserviceOf(namespace, name), 'Accepted')).toMatchObject(conflict), 10_000));
    expect(conditionOf(await microserviceOf(namespace, name), 'Stalled')).toMatchObject({ status: 'True', reason: 'NameConflict' });
    expect(contentOf(await client.get<Manifest>(kind, refOf(stranger)))).toEqual(before);
    expect(await idsOf(childrenOf(namespace, name))).toEqual(stranger.metadata.labels ? [idOf(stranger)] : []);
    await unlooked(`microservice/${namespace}/${name}`);
    await client.remove(kind, refOf(stranger));
    note('conflict_recovery_s_max', await timed(async () => expect(await idsOf(childrenOf(namespace, name))).toHaveLength(6), 20_000));
    await eventually(async () => expect(conditionOf(await microserviceOf(namespace, name), 'Accepted')).toMatchObject({ status: 'True' }), 10_000);
  }));
}, 90_000);

test.concurrent('a stranger with a name of the fleet is left as it is, and the fleet comes when it has gone', async () => {
  const namespace = 'fleet-stranger';
  await createNamespace(namespace);
  const account = await client.create<Manifest>({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace, name: 'microservice-fleet' } });
  await createMicroservice(namespace, 'hello', { bundled: 'hello-http' });
  const blocker = { reason: 'FleetBlocked', object: 'Deployment/microservice-fleet', message: expect.stringContaining('ServiceAccount microservice-fleet') };
  await eventually(async () => expect((await microserviceOf(namespace, 'hello')).status?.blockers).toContainEqual(blocker), 10_000);
  expect(await client.get<Manifest>(resourceKinds.serviceAccount, refOf(account))).toEqual(account);
  expect(await idsOf(fleetOf(namespace))).toEqual([]);
  await unlooked(`fleet/${namespace}`);
  await client.remove(resourceKinds.serviceAccount, refOf(account));
  await eventually(async () => expect(await idsOf(fleetOf(namespace))).toEqual(FLEET_IDS), 20_000);
}, 60_000);

interface EventObject extends KubernetesObject {
  readonly type: string;
  readonly reason: string;
  readonly note: string;
  readonly regarding: { readonly kind: string; readonly name: string };
}

const eventsOf = async (namespace: string): Promise<readonly EventObject[]> =>
  (await client.list<EventObject & { reportingController?: string }>(resourceKinds.event, namespace)).filter((event) => event.reportingController === 'microservice-operator.io/controller');

/** Not at once: at most 20 a second are written. */
const EVENTS_MS = 20_000;

const expectEvent = (namespace: string, expected: readonly [type: string, reason: string, about: string]): Promise<void> =>
  eventually(async () => expect((await eventsOf(namespace)).map(({ type, reason, regarding }) => [type, reason, regarding.name])).toContainEqual(expected), EVENTS_MS);

test.concurrent('replicas: ours without autoscaling, and the autoscaler\'s from the moment it is on, never lowered on the way', async () => {
  const namespace = 'replicas';
  await createNamespace(namespace);
  await createMicroservice(namespace, 'hello', { ...SERVICE, replicas: 4 });
  const deployment = { namespace, name: 'hello--main' };
  const seen: number[] = [];
  const replicasAre = (count: number): Promise<void> => eventually(async () => expect((await deploymentOf(namespace, 'hello--main')).spec.replicas).toBe(count), REPAIR_MS);
  await eventually(() => client.get(resourceKinds.deployment, deployment), 10_000);
  void client.follow(resourceKinds.deployment, (line) => void seen.push(JSON.parse(line).object.spec.replicas), namespace).catch(() => undefined);
  await replicasAre(4);
  await client.patch(resourceKinds.deployment, deployment, { spec: { replicas: 1 } });
  note('repair_s_max', await timed(() => replicasAre(4), REPAIR_MS));
  await client.patch(resourceKinds.deployment, deployment, { spec: { replicas: 9 } });
  note('repair_s_max', await timed(() => replicasAre(4), REPAIR_MS));

  await changeSpec(namespace, 'hello', { autoscaling: { minReplicas: 2, maxReplicas: 6 } });
  await eventually(() => client.get(resourceKinds.horizontalPodAutoscaler, deployment), REPAIR_MS);
  await settled(namespace, 'hello');
  await replicasAre(4);
  seen.length = 0;
  // As the autoscaler would.
  await client.patch(resourceKinds.deployment, deployment, { spec: { replicas: 6 } });
  await changeSpec(namespace, 'hello', { env: [{ name: 'A', value: '1' }] });
  await eventually(async () => expect(JSON.stringify(await deploymentOf(namespace, 'hello--main'))).toContain('"name":"A"'), REPAIR_MS);
  await settled(namespace, 'hello');
  await client.patch(resourceKinds.deployment, deployment, { metadata: { labels: { [LABEL.name]: 'x' } } });
  await eventually(async () => expect((await deploymentOf(namespace, 'hello--main')).metadata.labels).toMatchObject({ [LABEL.name]: 'hello' }), REPAIR_MS);
  await replicasAre(6);
  const lowered = seen.filter((count, index) => count < (seen[index - 1] ?? 0));
  figures['replicas_lowered_by_operator'] = lowered.length;
  expect(lowered).toEqual([]);
  expect(seen).toContain(6);

  await changeSpec(namespace, 'hello', { autoscaling: null, replicas: 5 });
  await replicasAre(5);
  await eventually(async () => expect(await client.find(resourceKinds.horizontalPodAutoscaler, deployment)).toBeUndefined(), REPAIR_MS);
  expect(Math.min(...seen)).toBeGreaterThanOrEqual(4);
  await createMicroservice(namespace, 'born', { ...AUTOSCALED, autoscaling: { minReplicas: 3, maxReplicas: 6 } });
  await eventually(async () => expect((await deploymentOf(namespace, 'born--main')).spec.replicas).toBe(3), REPAIR_MS);
}, 60_000);

const CONFIG_HASH = 'microservice-operator.io/config-hash';
const configHashOf = async (namespace: string, name: string): Promise<string | undefined> => (await deploymentOf(namespace, `${name}--main`)).spec.template?.metadata?.annotations?.[CONFIG_HASH];

test.concurrent('pods follow the content of their ConfigMaps, and a missing one is named', async () => {
  const namespace = 'config';
  await createNamespace(namespace);
  const settings = { namespace, name: 'settings' };
  const writeSettings = (color: string): Promise<KubernetesObject> => client.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: settings, data: { color } } as KubernetesObject);
  await createMicroservice(namespace, 'strict', { ...SERVICE, envFrom: [{ configMapRef: { name: 'settings' } }] });
  await createMicroservice(namespace, 'lenient', { ...SERVICE, envFrom: [{ configMapRef: { name: 'settings', optional: true } }] });
  note('impossible_report_s_max', await timed(async () => expect(await blockerReasons(namespace, 'strict')).toEqual(['ConfigMapMissing']), 10_000));
  const lenientWithout = await configHashOf(namespace, 'lenient');
  expect(await blockerReasons(namespace, 'lenient')).toEqual([]);
  await writeSettings('red');
  await eventually(async () => expect(await blockerReasons(namespace, 'strict')).toEqual([]), 10_000);
  await eventually(async () => expect(await configHashOf(namespace, 'lenient')).not.toBe(lenientWithout), REPAIR_MS);
  const red = await configHashOf(namespace, 'strict');
  await client.patch(resourceKinds.configMap, settings, { data: { color: 'blue' } });
  await eventually(async () => expect(await configHashOf(namespace, 'strict')).not.toBe(red), REPAIR_MS);
  const blue = await configHashOf(namespace, 'strict');
  await client.patch(resourceKinds.configMap, settings, { metadata: { annotations: { unread: 'yes' } } });
  await client.remove(resourceKinds.configMap, settings);
  await eventually(async () => expect(await blockerReasons(namespace, 'strict')).toEqual(['ConfigMapMissing']), 10_000);
  expect(await configHashOf(namespace, 'strict')).toBe(blue);
  await writeSettings('blue');
  await eventually(async () => expect(await blockerReasons(namespace, 'strict')).toEqual([]), 10_000);
  expect(await configHashOf(namespace, 'strict')).toBe(blue);
  await expectEvent(namespace, ['Warning', 'ConfigMapMissing', 'strict']);
}, 60_000);

test.concurrent('the claim of storage outlives its Microservice and serves the next of the name', async () => {
  const namespace = 'storage';
  await createNamespace(namespace);
  const spec: MicroserviceSpec = { ...SERVICE, bundled: 'register', storage: { mountPath: '/data', size: '1Gi' } };
  const claim = (): Promise<KubernetesObject> => client.get<KubernetesObject>(resourceKinds.persistentVolumeClaim, { namespace, name: 'register-storage' });
  const first = await createMicroservice(namespace, 'register', spec);
  await eventually(async () => expect(await idsOf(childrenOf(namespace, 'register'))).toHaveLength(5), 10_000);
  const { uid } = (await claim()).metadata;
  await client.remove(resourceKinds.microservice, refOf(first));
  await eventually(async () => expect(await idsOf(childrenOf(namespace, 'register'))).toEqual(['PersistentVolumeClaim/register-storage']), COLLECTED_MS);
  await createMicroservice(namespace, 'register', spec);
  await eventually(async () => expect(await idsOf(childrenOf(namespace, 'register'))).toHaveLength(5), 10_000);
  expect((await claim()).metadata.uid).toBe(uid);
  expect(conditionOf(await settled(namespace, 'register'), 'Accepted')).toMatchObject({ status: 'True' });
}, 60_000);

test.concurrent('a Microservice that is deleted and created again at once gets children of its own', async () => {
  const namespace = 'again';
  await createNamespace(namespace);
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) await createMicroservice(namespace, name, AUTOSCALED);
  await eventually(async () => expect(await idsOf(childrenOf(namespace, 'd'))).toHaveLength(6), 15_000);
  await Promise.all(names.map(async (name) => {
    await client.remove(resourceKinds.microservice, { namespace, name });
    const { metadata } = await createMicroservice(namespace, name, AUTOSCALED);
    note('recreated_s_max', await timed(async () => {
      const children = await childrenOf(namespace, name);
      expect(children.map((child) => child.metadata.ownerReferences?.[0]?.uid)).toEqual(Array.from({ length: 6 }, () => metadata.uid));
      expect(children.filter((child) => child.metadata.deletionTimestamp)).toEqual([]);
    }, COLLECTED_MS));
    await eventually(async () => expect(conditionOf(await settled(namespace, name), 'Accepted')).toMatchObject({ status: 'True' }), 10_000);
  }));
}, 90_000);

test.concurrent('with the last Microservice go its children and the fleet', async () => {
  const namespace = 'gone';
  await createNamespace(namespace);
  await createMicroservice(namespace, 'hello', { bundled: 'hello-http', replicas: 2 });
  await eventually(async () => expect(await idsOf(fleetOf(namespace))).toEqual(FLEET_IDS), 15_000);
  await client.remove(resourceKinds.microservice, { namespace, name: 'hello' });
  note('fleet_removed_s', await timed(async () => expect(await idsOf(fleetOf(namespace))).toEqual([]), 60_000));
  await eventually(async () => expect(await idsOf(childrenOf(namespace, 'hello'))).toEqual([]), COLLECTED_MS);
  const left = { namespace, name: 'microservice-fleet-tls' };
  await eventually(async () => expect(await client.find(resourceKinds.secret, left)).toBeUndefined(), 5_000);
}, 120_000);

test.concurrent('the provider Service needs no fleet and calls its split approximate; Created and Ready are events', async () => {
  const namespace = 'direct';
  await createNamespace(namespace);
  kubelet.serve(namespace);
  const versions = ['v1', 'v2'].map((name) => ({ name, bundled: 'hello-http' as const, weight: 50 }));
  await createMicroservice(namespace, 'hello', { traffic: { provider: 'Service' }, versions });
  await isReady(namespace, 'hello');
  const microservice = await settled(namespace, 'hello');
  expect(conditionOf(microservice, 'TrafficApplied')).toMatchObject({ status: 'True', reason: 'Approximate', message: expect.stringContaining('v1 50, v2 50') });
  expect(microservice.status).toMatchObject({ replicas: 2, readyReplicas: 2, url: 'http://hello.direct.svc' });
  const { spec } = await client.get<Service>(resourceKinds.service, { namespace, name: 'hello' });
  expect(spec).toMatchObject({ selector: { [LABEL.microservice]: 'hello' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] });
  expect(await idsOf(fleetOf(namespace))).toEqual([]);
  const expected = [...(await idsOf(childrenOf(namespace, 'hello'))).map((id) => ['Created', `Created ${id}`]), ['Ready', 'Every version is rolled out and the traffic is in force.']];
  await eventually(async () => expect((await eventsOf(namespace)).map(({ reason, note: text }) => [reason, text])).toEqual(expect.arrayContaining(expected)), EVENTS_MS);
}, 60_000);

test.concurrent('a paused Microservice is looked at, and nothing of it is changed', async () => {
  const namespace = 'paused';
  await createNamespace(namespace);
  await createMicroservice(namespace, 'never', { ...SERVICE, paused: true });
  await createMicroservice(namespace, 'later', SERVICE);
  await eventually(async () => expect(conditionOf(await microserviceOf(namespace, 'never'), 'Ready')).toMatchObject({ status: 'Unknown', reason: 'Paused' }), 10_000);
  expect(await idsOf(childrenOf(namespace, 'never'))).toEqual([]);
  await eventually(async () => expect(await idsOf(childrenOf(namespace, 'later'))).toEqual(plain('later')), 10_000);
  await changeSpec(namespace, 'later', { paused: true, replicas: 3 });
  await settled(namespace, 'later');
  const passes = operator.passes(`microservice/${namespace}/later`).length;
  const service = { namespace, name: 'later' };
  await client.patch(resourceKinds.service, service, { spec: { selector: { edited: 'yes' } } });
  await eventually(() => operator.passes(`microservice/${namespace}/later`).length > passes, REPAIR_MS);
  expect((await client.get<Service>(resourceKinds.service, service)).spec.selector).toHaveProperty('edited');
  expect((await deploymentOf(namespace, 'later--main')).spec.replicas).toBe(1);
  await changeSpec(namespace, 'later', { paused: false });
  await eventually(async () => {
    expect((await client.get<Service>(resourceKinds.service, service)).spec.selector).not.toHaveProperty('edited');
    expect((await deploymentOf(namespace, 'later--main')).spec.replicas).toBe(3);
  }, REPAIR_MS);
}, 60_000);

test.concurrent('a quota that keeps pods away is a blocker within 10 s', async () => {
  const namespace = 'quota';
  await createNamespace(namespace);
  await client.post(`/api/v1/namespaces/${namespace}/resourcequotas`, { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'no-pods' }, spec: { hard: { pods: '0' } } });
  await createMicroservice(namespace, 'hello', SERVICE);
  note('impossible_report_s_max', await timed(async () => expect(await blockerReasons(namespace, 'hello')).toEqual(['QuotaExceeded']), 10_000));
  expect((await microserviceOf(namespace, 'hello')).status?.blockers).toEqual([expect.objectContaining({ version: 'main', object: 'Deployment/hello--main', message: expect.stringContaining('Raise the ResourceQuota') })]);
  await expectEvent(namespace, ['Warning', 'QuotaExceeded', 'hello']);
}, 60_000);

test('probes and metrics answer', async () => {
  expect(await operator.ask('probes', '/livez')).toEqual({ status: 200, text: 'ok\n' });
  expect(await operator.ask('probes', '/readyz')).toEqual({ status: 200, text: 'ok\n' });
  await eventually(async () => expect((await operator.ask('metrics', '/metrics')).text).toMatch(/^leader_election_master_status 1$/m), 5_000);
  const { text } = await operator.ask('metrics', '/metrics');
  expect(text).toMatch(/^# TYPE controller_runtime_reconcile_total counter$/m);
  expect(text).not.toMatch(/^informer_handler_errors_total [1-9]/m);
  expect(operator.noise).toEqual([]);
  expect(operator.log.filter(({ level }) => level === 'error')).toEqual([]);
});

/** https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md */
function kstatusProblems({ metadata, status }: Microservice): readonly string[] {
  const is = (type: string): string => status?.conditions?.find((condition) => condition.type === type)?.status ?? 'absent';
  const [ready, reconciling, stalled] = [is('Ready'), is('Reconciling'), is('Stalled')];
  const isDone = reconciling === 'absent' && stalled === 'absent';
  const wanted: Readonly<Record<string, boolean>> = { True: isDone, Unknown: isDone, False: (reconciling === 'True') !== (stalled === 'True') };
  const stale = status?.conditions?.some((condition) => condition.observedGeneration !== metadata.generation) ?? true;
  return [
    ...(wanted[ready] === true ? [] : [`${metadata.namespace}/${metadata.name}: Ready ${ready}, Reconciling ${reconciling}, Stalled ${stalled}`]),
    ...(status?.observedGeneration === metadata.generation && !stale ? [] : [`${metadata.namespace}/${metadata.name}: observedGeneration`]),
  ];
}

const told = ({ verb, requestURI, requestReceivedTimestamp }: AuditedRequest): string => `${requestReceivedTimestamp} ${verb} ${requestURI}`;

/** Resolves when the operator has written nothing for so long; `sinceMs`: not before this moment of Date.now(). */
async function quiet(forMs: number, sinceMs: number): Promise<void> {
  const lastMs = (): number => Math.max(sinceMs, ...auditedWrites(auditLogPath, sinceMs).map((request) => Date.parse(request.requestReceivedTimestamp)));
  await eventually(() => Date.now() - lastMs() > forMs, 60_000);
}

/** What was written from then until `forMs` later, which has to be nothing. */
async function writesWithin(sinceMs: number, forMs: number): Promise<readonly string[]> {
  await eventually(() => Date.now() > sinceMs + forMs, forMs + 5_000);
  return auditedWrites(auditLogPath, sinceMs).map(told);
}

test('when all is done nothing is written in 10 s, and every status keeps the kstatus rules', async () => {
  await quiet(3_000, 0);
  const writes = await writesWithin(Date.now(), 10_000);
  figures['idle_writes_10s'] = writes.length;
  expect(writes).toEqual([]);
  const all = await client.list<Microservice>(resourceKinds.microservice);
  figures['microservices'] = all.length;
  expect(all.flatMap(kstatusProblems)).toEqual([]);
}, 80_000);

const leaderName = async (): Promise<string | undefined> => (await client.get<Lease>(resourceKinds.lease, { namespace: OPERATOR_NAMESPACE, name: 'microservice-operator' })).spec?.holderIdentity?.split('_')[0];

test('SIGTERM: it exits 0 within 5 s and releases the lease; another leads within 3 s and has nothing to write', async () => {
  const second = await startOperator('second');
  const sinceMs = Date.now();
  const { exit, tookMs } = await operator.end('SIGTERM');
  expect(exit).toBe(0);
  expect(tookMs).toBeLessThan(5_000);
  figures['stop_ms'] = Math.round(tookMs);
  expect([undefined, 'second']).toContain(await leaderName());
  operator = second;
  const handoverMs = await timed(async () => expect(await leaderName()).toBe('second'), 10_000);
  figures['handover_ms'] = handoverMs;
  const writes = await writesWithin(sinceMs, 15_000);
  figures['restart_writes'] = writes.length;
  expect(writes).toEqual([]);
  expect(handoverMs).toBeLessThan(3_000);
}, 60_000);

test('kill -9: another leads within 20 s and takes up the change that was under way', async () => {
  const third = await startOperator('third');
  await changeSpec('direct', 'hello', { replicas: 2 });
  await operator.end('SIGKILL');
  operator = third;
  figures['failover_s'] = Math.round((await timed(async () => expect(await leaderName()).toBe('third'), 20_000)) / 100) / 10;
  await eventually(async () => expect((await settled('direct', 'hello')).status?.replicas).toBe(4), 10_000);
  await isReady('direct', 'hello');
}, 60_000);

test('the rights of the chart were enough; which of them nothing has used is printed', () => {
  const requests = auditedRequests(auditLogPath);
  expect(requests.filter(isForbidden).map(told)).toEqual([]);
  expect(new Set(requests.map(({ user }) => user.username))).toEqual(new Set([`system:serviceaccount:${OPERATOR_NAMESPACE}:microservice-operator`]));
  const used = new Set(requests.flatMap(usedPermissions));
  // Lists are what a cache falls back to where the API server does not stream them.
  figures['permissions_unused'] = rights.granted.filter((permission) => !used.has(permission));
});
