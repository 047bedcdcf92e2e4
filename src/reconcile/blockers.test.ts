import { expect, test } from '@jest/globals';
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import type { MicroserviceSpec } from '../api/microservice.ts';
import type { Observed, Pod } from '../desired/observed.ts';
import { versions } from '../desired/version.ts';
import { microservice, observed, settings, trafficObserved } from '../../test/observed-world.ts';
import { blockers, patienceEndsInMs } from './blockers.ts';

const NOW = Date.parse('2026-03-01T10:00:00Z');
const before = (seconds: number): string => new Date(NOW - seconds * 1_000).toISOString().replace('.000', '');

/** As the kubelet and the scheduler write it. */
const pod = (status: object, name = 'hello--main-6d4cf56db6-abcde', version = 'main'): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'shop', creationTimestamp: before(60), labels: { 'microservice-operator.io/microservice': 'hello', 'microservice-operator.io/version': version } },
  status,
});

const condition = (type: string, status: string, more: object = {}): object => ({ type, status, lastProbeTime: null, lastTransitionTime: before(60), ...more });
const scheduled = [condition('PodScheduled', 'True'), condition('Initialized', 'True'), condition('Ready', 'False', { reason: 'ContainersNotReady', message: 'containers with unready status: [main]' })];
const waiting = (reason: string, message?: string, more: object = {}): object => ({
  phase: 'Pending',
  conditions: scheduled,
  containerStatuses: [{ name: 'main', image: 'registry.example.com/shop:1', imageID: '', ready: false, restartCount: 0, started: false, lastState: {}, state: { waiting: { reason, ...(message === undefined ? {} : { message }) } }, ...more }],
});
const running = (forSeconds: number, more: object = {}): object => ({
  phase: 'Running',
  conditions: scheduled,
  containerStatuses: [{ name: 'main', ready: false, restartCount: 0, started: true, lastState: {}, state: { running: { startedAt: before(forSeconds) } }, ...more }],
});
const terminated = (exitCode: number, more: object = {}): object => ({ exitCode, reason: exitCode === 0 ? 'Completed' : 'Error', startedAt: before(20), finishedAt: before(10), containerID: 'containerd://1', ...more });

function found(overrides: Partial<Observed>, spec: MicroserviceSpec = { image: 'registry.example.com/shop:1' }) {
  const of = microservice(spec);
  return blockers(observed(of, overrides), versions(of, settings), NOW);
}

const ofPod = (status: object) => found({ pods: [pod(status)] });

test.each<[string, object, string, string]>([
  ['an image that does not exist', waiting('ErrImagePull', 'failed to pull and unpack image "registry.example.com/shop:1": not found'), 'ImagePullFailed', 'imagePullSecrets'],
  ['an image that is tried again later', waiting('ImagePullBackOff', 'Back-off pulling image "registry.example.com/shop:1"'), 'ImagePullFailed', 'Back-off pulling image'],
  ['an image whose name cannot be', waiting('InvalidImageName', 'Failed to apply default image tag "Shop:1": invalid reference format'), 'ImagePullFailed', 'Correct image'],
  ['an image that is not on the node', waiting('ErrImageNeverPull', 'Container image "shop:dev" is not present with pull policy of Never'), 'ImagePullFailed', 'pull policy of Never'],
  ['a missing Secret', waiting('CreateContainerConfigError', 'secret "shop-token" not found'), 'ContainerConfigInvalid', 'secret "shop-token" not found. Create what is missing'],
  ['an image that wants to be root', waiting('CreateContainerConfigError', 'container has runAsNonRoot and image will run as root (pod: "hello_shop", container: main)'), 'ContainerConfigInvalid', 'podSecurity: Baseline'],
  ['a command that is not in the image', waiting('RunContainerError', 'failed to create containerd task: exec: "/shopp": stat /shopp: no such file or directory'), 'ContainerStartFailed', 'Check command'],
  ['a crash loop', { ...waiting('CrashLoopBackOff', 'back-off 40s restarting failed container', { restartCount: 3, lastState: { terminated: terminated(1, { message: 'no such table\n' }) } }), phase: 'Running' }, 'CrashLoop', 'ends with exit code 1: no such table (3 restarts)'],
  ['a first crash', { phase: 'Running', conditions: scheduled, containerStatuses: [{ name: 'main', ready: false, restartCount: 0, lastState: {}, state: { terminated: terminated(137) } }] }, 'CrashLoop', 'exit code 137'],
  ['a program that ends by itself', waiting('CrashLoopBackOff', undefined, { restartCount: 1, lastState: { terminated: terminated(0) } }), 'CrashLoop', 'exit code 0'],
  ['too little memory', waiting('CrashLoopBackOff', undefined, { restartCount: 2, lastState: { terminated: terminated(137, { reason: 'OOMKilled' }) } }), 'OutOfMemory', 'Raise resources.limits.memory'],
  ['a probe that fails', running(9), 'ProbeFailing', 'probes.readiness'],
  ['a volume that does not come', waiting('ContainerCreating'), 'VolumesPending', 'claim of storage'],
])('%s', (_what, status, reason, words) => {
  expect(ofPod(status)).toEqual([{ version: 'main', reason, object: 'Pod/hello--main-6d4cf56db6-abcde', message: expect.stringContaining(words) }]);
});

test('a pod that no node takes', () => {
  const message = '0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.';
  expect(ofPod({ phase: 'Pending', conditions: [condition('PodScheduled', 'False', { reason: 'Unschedulable', message })] })).toMatchObject([{ reason: 'Unschedulable', message: expect.stringContaining('3 Insufficient cpu') }]);
});

test.each<[string, object]>([
  ['is Ready', { phase: 'Running', conditions: [condition('PodScheduled', 'True'), condition('Ready', 'True')], containerStatuses: [{ name: 'main', ready: true, restartCount: 4, lastState: { terminated: terminated(1) }, state: { running: { startedAt: before(600) } } }] }],
  ['has just been started', running(3)],
  ['runs again after a crash', running(3, { restartCount: 1, lastState: { terminated: terminated(1) } })],
  ['waits to be scheduled', { phase: 'Pending' }],
  ['was evicted: its ReplicaSet has made another', { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: memory.', conditions: scheduled, containerStatuses: [{ name: 'main', ready: false, restartCount: 0, state: { terminated: terminated(137) } }] }],
  ['pulls a large image', { ...waiting('ContainerCreating'), conditions: [condition('PodReadyToStartContainers', 'True'), ...scheduled] }],
])('a pod that %s blocks nothing', (_what, status) => {
  expect(ofPod(status)).toEqual([]);
});

test('a pod that is being deleted blocks nothing, whatever its containers do', () => {
  const ending = pod(waiting('CrashLoopBackOff'));
  expect(found({ pods: [{ ...ending, metadata: { ...ending.metadata, deletionTimestamp: before(1) } }] })).toEqual([]);
});

const deployment = (...conditions: readonly object[]): KubernetesObject & { readonly status: object } => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'hello--main', labels: { 'microservice-operator.io/version': 'main' } },
  status: { conditions },
});

test.each<[string, object, string, string]>([
  ['a quota', { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'pods "hello--main-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4' }, 'QuotaExceeded', 'Raise the ResourceQuota'],
  ['a Pod Security level', { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'pods "hello--main-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true' }, 'PodSecurityViolation', 'podSecurity: Baseline'],
  ['an admission webhook', { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'admission webhook "policy.example.com" denied the request' }, 'PodsRefused', 'policy.example.com'],
  ['a rollout that is stuck', { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message: 'ReplicaSet "hello--main-5" has timed out progressing.' }, 'ProgressDeadlineExceeded', 'keep serving'],
])('%s, as the Deployment says', (_what, given, reason, words) => {
  expect(found({ children: [deployment(given)] })).toEqual([{ version: 'main', reason, object: 'Deployment/hello--main', message: expect.stringContaining(words) }]);
});

test('a Deployment that is well blocks nothing', () => {
  expect(found({ children: [deployment({ type: 'Progressing', status: 'True', reason: 'NewReplicaSetAvailable' }, { type: 'ReplicaFailure', status: 'False' })] })).toEqual([]);
});

const reading: MicroserviceSpec = {
  image: 'x',
  files: [{ mountPath: '/etc/shop', configMap: 'files' }],
  envFrom: [{ configMapRef: { name: 'settings' } }, { configMapRef: { name: 'extra', optional: true } }],
  env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'maybe', key: 'a', optional: true } } }],
};

test('a missing ConfigMap is named at once, before a pod has tried; an optional one is none', () => {
  expect(found({ configMaps: new Map([['settings', 'hash']]) }, reading)).toEqual([{ reason: 'ConfigMapMissing', object: 'ConfigMap/files', message: expect.stringContaining('ConfigMap files does not exist in namespace shop') }]);
});

test('a ConfigMap that is optional here and needed there is needed', () => {
  expect(found({}, { image: 'x', files: [{ mountPath: '/a', configMap: 'both' }], envFrom: [{ configMapRef: { name: 'both', optional: true } }] })).toMatchObject([{ object: 'ConfigMap/both' }]);
});

test('a proxy that refuses its configuration or keeps silent is named', () => {
  const traffic = trafficObserved({ readyProxies: 2, silentProxies: ['microservice-fleet-1'], rejected: { proxy: 'microservice-fleet-0', message: 'Proto constraint validation failed' } });
  expect(found({ traffic })).toMatchObject([
    { reason: 'ConfigurationRejected', object: 'Pod/microservice-fleet-0', message: expect.stringContaining('last good configuration') },
    { reason: 'ProxySilent', object: 'Pod/microservice-fleet-1' },
  ]);
});

test('a configuration that could not be computed or set is named, with its cause', () => {
  expect(found({ traffic: trafficObserved({ readyProxies: 2, failure: 'all 20000 listener ports of the fleet are in use: split the namespace' }) })).toEqual([
    { reason: 'TrafficNotComputed', object: 'Deployment/microservice-fleet', message: 'The proxies keep the last good configuration: all 20000 listener ports of the fleet are in use: split the namespace' },
  ]);
});

test('ten crashing pods are one problem, another version is another one', () => {
  const crashing = waiting('CrashLoopBackOff', undefined, { restartCount: 1, lastState: { terminated: terminated(1) } });
  const pods = [...Array.from({ length: 10 }, (_, index) => pod(crashing, `hello--v1-${index}`, 'v1')), pod(crashing, 'hello--v2-0', 'v2')];
  expect(found({ pods: pods.toReversed() })).toMatchObject([
    { version: 'v2', object: 'Pod/hello--v2-0' },
    { version: 'v1', object: 'Pod/hello--v1-0', message: expect.stringMatching(/\(and 9 more\)$/) },
  ]);
});

test('the list and each message are bounded, as the CRD demands', () => {
  const pods = Array.from({ length: 40 }, (_, index) => pod(waiting('ErrImagePull', 'x'.repeat(9_000)), `hello--v${index}-0`, `v${index}`));
  const all = found({ pods });
  expect(all).toHaveLength(10);
  expect(all.every(({ message }) => message.length <= 4_096)).toBe(true);
});

test('patience with a starting pod ends at a known moment, and is over once', () => {
  expect(patienceEndsInMs([pod(running(3))], NOW)).toBe(3_100);
  expect(patienceEndsInMs([pod(running(3)), pod(running(5))], NOW)).toBe(1_100);
  expect(patienceEndsInMs([pod(running(60))], NOW)).toBeUndefined();
  expect(patienceEndsInMs([pod({ phase: 'Pending' })], NOW)).toBeUndefined();
  expect(patienceEndsInMs([], NOW)).toBeUndefined();
});

test('at the end of patience the probe is blamed, not before', () => {
  const starting = pod(running(3));
  const end = NOW + (patienceEndsInMs([starting], NOW) ?? 0);
  const of = microservice({ image: 'x' });
  const at = (nowMs: number) => blockers(observed(of, { pods: [starting] }), versions(of, settings), nowMs).map(({ reason }) => reason);
  expect(at(end - 200)).toEqual([]);
  expect(at(end)).toEqual(['ProbeFailing']);
});
