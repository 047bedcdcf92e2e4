/** The operator from source, with the rights of the chart, against a real API server and its controllers. */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { load } from 'js-yaml';
import { startLab, type Lab } from '../lab/lab.ts';
import { auditedRequests, auditedWrites, type AuditedRequest } from '../test/audit-log.ts';
import { ClusterClient } from '../test/cluster-client.ts';
import { OperatorProcess } from '../test/operator-process.ts';
import { installOperatorRights, isForbidden, usedPermissions, type OperatorRights } from '../test/operator-rights.ts';
import { PlayedKubelet } from '../test/played-kubelet.ts';
import { PlayedProxy } from '../test/played-proxy.ts';
import type { KubernetesObject } from './api/kubernetes-object.ts';
import type { Condition, Microservice, MicroserviceSpec } from './api/microservice.ts';
import type { Lease } from './cluster/lease.ts';
import { resourceKindOf, resourceKinds, type ResourceKind } from './cluster/resource-kind.ts';
import type { Manifest } from './desired/manifest.ts';
import { API_VERSION, LABEL } from './desired/names.ts';
import type { Deployment, Pod, Service } from './desired/observed.ts';
import { eventually } from './engine/eventually.ts';

const OPERATOR_NAMESPACE = 'operator';
const REPAIR_MS = 5_000;
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

beforeAll(async () => {
  lab = await startLab({ profile: 'api', auditLog: true });
  auditLogPath = lab.auditLogPath ?? '';
  client = new ClusterClient(lab.kubeconfigPath);
  rights = await installOperatorRights(lab, OPERATOR_NAMESPACE);
  kubelet = new PlayedKubelet(client);
  await kubelet.start();
  operator = await startOperator('first');
}, 60_000);

afterAll(async () => {
  await operator.end('SIGKILL');
  client.close();
  await lab.stop();
  console.log(`figures: ${JSON.stringify(figures)}`);
});

const startOperator = (podName: string): Promise<OperatorProcess> => OperatorProcess.start({ kubeconfigPath: rights.kubeconfigPath, namespace: OPERATOR_NAMESPACE, podName });

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

const blockerReasons = async (namespace: string, name: string): Promise<readonly string[]> => ((await microserviceOf(namespace, name)).status?.blockers ?? []).map(({ reason }) => reason);

/** A proxy for each Ready pod of the fleet, which has to be served by the kubelet. */
async function playProxies(namespace: string, count: number): Promise<readonly PlayedProxy[]> {
  const readyPods = async (): Promise<readonly Pod[]> => {
    const pods = await client.list<Pod>(resourceKinds.pod, namespace, `${LABEL.component}=fleet`);
    return pods.filter((pod) => pod.status?.phase === 'Running');
  };
  await eventually(async () => expect(await readyPods()).toHaveLength(count), 15_000);
  const { data } = await client.get<KubernetesObject & { data: Record<string, string> }>(resourceKinds.secret, { namespace, name: 'microservice-fleet-tls' });
  const file = (name: string): Buffer => Buffer.from(data[name] ?? '', 'base64');
  const tls = { ca: file('ca.crt'), key: file('tls.key'), certificate: file('tls.crt') };
  const serverName = `microservice-operator-xds.${OPERATOR_NAMESPACE}.svc`;
  return (await readyPods()).map((pod) => new PlayedProxy({ nodeId: pod.metadata.uid ?? '', tls, serverName, port: () => operator.ports.xds }));
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
  const proxies = await playProxies(namespace, 2);
  for (const { microservice, children, pods } of examples) await expectExample(namespace, microservice.metadata.name, { children, pods });
  expect(await idsOf(fleetOf(namespace))).toEqual(FLEET_IDS);
  note('examples_ready_s', performance.now() - startedMs);
  await expectFieldManagers(namespace);
  expect((await microserviceOf(namespace, 'hello')).status).toMatchObject({ traffic: 'v1 90, v2 10', replicas: 4, readyReplicas: 4, versions: [{ weight: { desired: 90, applied: 90, acknowledged: 90 } }, { weight: { desired: 10, applied: 10, acknowledged: 10 } }] });
  for (const proxy of proxies) proxy.stop();
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

const DRIFT: Readonly<Record<string, object>> = {
  Deployment: { spec: { template: { spec: { terminationGracePeriodSeconds: 5 } } } },
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
  await expectRepair(child, () => client.patch(kind, ref, { metadata: { labels: { ...noLabels, [LABEL.managedBy]: 'helm' }, ownerReferences: null } }));
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
  const children = [...(await childrenOf(namespace, 'scaled')), ...(await childrenOf(namespace, 'kept'))];
  const results = await Promise.allSettled(children.map((child) => expectAllRepairs(child)));
  expect(results.flatMap((result, index) => (result.status === 'rejected' ? [`${idOf(children[index] ?? children[0]!)}: ${String(result.reason)}`] : []))).toEqual([]);
  await Promise.all(children.map((child) => expectDeletionRepaired(child)));
  for (const child of await fleetOf(namespace)) {
    await expectRepair(child, () => client.patch(resourceKindOf(child), refOf(child), DRIFT[child.kind] ?? {}));
    await expectDeletionRepaired(child);
  }
}, 90_000);
