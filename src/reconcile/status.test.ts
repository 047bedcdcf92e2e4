import { expect, test } from '@jest/globals';
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import type { MicroserviceSpec, MicroserviceStatus } from '../api/microservice.ts';
import { versions } from '../desired/version.ts';
import type { TrafficObserved } from '../desired/observed.ts';
import { microservice, observed, settings, trafficObserved } from '../../test/observed-world.ts';
import type { StatusInput } from './status-input.ts';
import { isSameStatus, status } from './status.ts';

const NOW = Date.parse('2026-03-01T10:00:00.123Z');
const LATER = NOW + 3_600_000;

const deployment = (version: string, ready: number, wanted = ready, more: object = {}): KubernetesObject & { readonly spec: object } => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: `hello--${version}`, generation: 2, annotations: { 'deployment.kubernetes.io/revision': '7' } },
  spec: { replicas: wanted },
  ...{ status: { observedGeneration: 2, replicas: wanted, updatedReplicas: wanted, readyReplicas: ready, ...more } },
});

const two: MicroserviceSpec = { versions: [{ name: 'v1', image: 'a', weight: 90 }, { name: 'v2', image: 'b', weight: 10 }], ports: [{ name: 'http', port: 80 }] };
const applied = (v1: number, v2: number): TrafficObserved['applied'] => new Map([['v1', v1], ['v2', v2]]);
const inForce = trafficObserved({ applied: applied(90, 10), isListening: true, isAcknowledged: true, readyProxies: 2, acknowledgedTime: '2026-03-01T09:59:59.500Z', delayMs: 12 });
const bothReady = [deployment('v1', 2), deployment('v2', 1)];

interface Given {
  readonly spec?: MicroserviceSpec;
  readonly before?: MicroserviceStatus;
  readonly generation?: number;
  readonly children?: readonly KubernetesObject[];
  readonly traffic?: TrafficObserved;
  readonly input?: Partial<StatusInput>;
}

function of({ spec = two, before, generation = 1, children = bothReady, traffic = inForce, input = {} }: Given = {}): MicroserviceStatus {
  const object = { ...microservice(spec, { generation }), ...(before === undefined ? {} : { status: before }) };
  return status({ observed: observed(object, { children, traffic }), versions: versions(object, settings), blockers: [], waitsFor: [], problem: undefined, nowMs: NOW, ...input });
}

const condition = (found: MicroserviceStatus, type: string) => found.conditions?.find((candidate) => candidate.type === type);
const types = (found: MicroserviceStatus): readonly string[] => (found.conditions ?? []).map(({ type }) => type);

test('all well: Ready alone, the versions with their receipts, and columns for people', () => {
  const found = of({ generation: 4 });
  expect(found).toMatchObject({
    observedGeneration: 4,
    replicas: 3,
    readyReplicas: 3,
    selector: 'microservice-operator.io/microservice=hello',
    traffic: 'v1 90, v2 10',
    versions: [
      { name: 'v1', image: 'a', revision: '7', replicas: 2, readyReplicas: 2, weight: { desired: 90, applied: 90, acknowledged: 90, delayMs: 12, acknowledgedTime: '2026-03-01T09:59:59.500Z' } },
      { name: 'v2', weight: { desired: 10, applied: 10, acknowledged: 10 } },
    ],
  });
  expect(types(found)).toEqual(['Ready', 'Accepted', 'Available', 'TrafficApplied']);
  expect((found.conditions ?? []).map(({ status: value, observedGeneration }) => [value, observedGeneration])).toEqual(Array.from({ length: 4 }, () => ['True', 4]));
});

/** kstatus: Reconciling and Stalled are there only while true, and never together. */
test.each<[string, Given, readonly [reason: string, words: string], readonly string[]]>([
  ['being created', { children: [] }, ['RollingOut', 'v1 is being created.'], ['Reconciling']],
  ['not seen by the Deployment controller', { children: [deployment('v1', 2, 2, { observedGeneration: 1 }), deployment('v2', 1)] }, ['RollingOut', 'v1 has a change that the Deployment controller has not seen'], ['Reconciling']],
  ['half updated', { children: [deployment('v1', 2, 2, { updatedReplicas: 1 }), deployment('v2', 1)] }, ['RollingOut', 'v1 has 1 of 2 pods updated'], ['Reconciling']],
  ['old pods left', { children: [deployment('v1', 2, 2, { replicas: 3 }), deployment('v2', 1)] }, ['RollingOut', 'v1 has 1 old pods left'], ['Reconciling']],
  ['pods not Ready', { children: [deployment('v1', 1, 2), deployment('v2', 1)] }, ['RollingOut', 'v1 has 1 of 2 pods Ready'], ['Reconciling']],
  ['a drain', { input: { waitsFor: ['version v0 to drain'] } }, ['Waiting', 'Waiting for version v0 to drain.'], ['Reconciling']],
  ['a blocker', { input: { blockers: [{ version: 'v1', reason: 'CrashLoop', object: 'Pod/p', message: 'ends' }] } }, ['CrashLoop', 'Pod/p: ends'], ['Reconciling']],
  ['a stuck rollout', { input: { blockers: [{ version: 'v1', reason: 'ProgressDeadlineExceeded', object: 'Deployment/hello--v1', message: 'no progress' }] } }, ['ProgressDeadlineExceeded', 'no progress'], ['Stalled']],
  ['a refusal', { input: { problem: { reason: 'Invalid', message: 'spec: Required value' } } }, ['Invalid', 'spec: Required value'], ['Stalled']],
  ['no proxy', { traffic: trafficObserved() }, ['NoReadyProxy', 'microservice-fleet'], ['Reconciling']],
  ['proxies that have not answered', { traffic: { ...inForce, isAcknowledged: false } }, ['WaitingForProxies', 'not all acknowledged v1 90, v2 10'], ['Reconciling']],
  ['a weight that waits for endpoints', { traffic: { ...inForce, applied: applied(90, 0) } }, ['WaitingForEndpoints', 'Without a Ready pod a version gets no traffic: v2. In force: v1 90, v2 0.'], ['Reconciling']],
  [
    'a version that stands in for another',
    { spec: { ...two, versions: [{ name: 'v1', image: 'a', weight: 0 }, { name: 'v2', image: 'b', weight: 10 }] }, traffic: { ...inForce, applied: applied(1, 0) } },
    ['WaitingForEndpoints', 'gets no traffic: v2. In force: v1 1, v2 0.'],
    ['Reconciling'],
  ],
])('%s', (_what, given, [reason, words], transient) => {
  const found = of(given);
  expect(condition(found, 'Ready')).toMatchObject({ status: 'False', reason, message: expect.stringContaining(words) });
  expect(types(found).filter((type) => ['Reconciling', 'Stalled'].includes(type))).toEqual(transient);
});

test('paused is neither ready nor on its way', () => {
  const found = of({ spec: { ...two, paused: true } });
  expect(condition(found, 'Ready')).toMatchObject({ status: 'Unknown', reason: 'Paused' });
  expect(types(found)).not.toContain('Reconciling');
});

test('a version with weight and no Ready pod is not available; one with weight 0 need not be', () => {
  expect(condition(of({ children: [deployment('v1', 2), deployment('v2', 0, 1)] }), 'Available')).toMatchObject({ status: 'False', reason: 'NoReadyPods', message: 'No Ready pod: v2.' });
  const dark: MicroserviceSpec = { ...two, versions: [{ name: 'v1', image: 'a', weight: 1 }, { name: 'v2', image: 'b', weight: 0 }] };
  expect(condition(of({ spec: dark, children: [deployment('v1', 2), deployment('v2', 0, 1)] }), 'Available')).toMatchObject({ status: 'True' });
});

test.each<[string, MicroserviceSpec, readonly KubernetesObject[], TrafficObserved['applied']]>([
  ['by the spec', { ...two, versions: [{ name: 'v1', image: 'a', weight: 90 }, { name: 'v2', image: 'b', weight: 10, replicas: 0 }] }, [deployment('v1', 2), deployment('v2', 0)], applied(90, 0)],
  ['by kubectl scale, while the Deployment has the word', two, [deployment('v1', 2), deployment('v2', 0)], applied(90, 0)],
  ['with all others', { ...two, replicas: 0 }, [deployment('v1', 0), deployment('v2', 0)], applied(90, 10)],
])('a version scaled to 0 %s takes nothing from Available and Ready', (_what, spec, children, weights) => {
  const found = of({ spec, children, traffic: { ...inForce, applied: weights } });
  for (const type of ['Available', 'TrafficApplied', 'Ready']) expect(condition(found, type)).toMatchObject({ status: 'True' });
});

test('a refused configuration names the Microservice and keeps the receipt of the last good one', () => {
  const before = of();
  const found = of({ before, traffic: { ...inForce, applied: applied(50, 50), isAcknowledged: false }, input: { blockers: [{ reason: 'ConfigurationRejected', object: 'Pod/fleet-0', message: 'refused' }] } });
  expect(condition(found, 'TrafficApplied')).toMatchObject({ status: 'False', reason: 'ConfigurationRejected' });
  expect(found.versions?.[0]?.weight).toEqual({ desired: 90, applied: 50, acknowledged: 90, delayMs: 12, acknowledgedTime: '2026-03-01T09:59:59.500Z' });
});

test('lastTransitionTime moves with the status alone, in whole seconds', () => {
  const first = of();
  expect(condition(first, 'Ready')?.lastTransitionTime).toBe('2026-03-01T10:00:00Z');
  const same = of({ before: first, generation: 2, input: { nowMs: LATER } });
  expect(condition(same, 'Ready')?.lastTransitionTime).toBe('2026-03-01T10:00:00Z');
  expect(condition(same, 'Ready')?.observedGeneration).toBe(2);
  const changed = of({ before: same, children: [], input: { nowMs: LATER } });
  expect(condition(changed, 'Ready')?.lastTransitionTime).toBe('2026-03-01T11:00:00Z');
  expect(condition(changed, 'Accepted')?.lastTransitionTime).toBe('2026-03-01T10:00:00Z');
});

test('an unchanged world is the same status, so nothing is written', () => {
  const before = of();
  expect(isSameStatus(before, of({ before, input: { nowMs: LATER } }))).toBe(true);
  expect(isSameStatus(undefined, before)).toBe(false);
});

test('a restarted operator, which knows no delay, keeps the receipt and writes nothing', () => {
  const before = of();
  const { acknowledgedTime: _time, delayMs: _delay, ...unknown } = inForce;
  const after = of({ before, traffic: unknown, input: { nowMs: LATER } });
  expect(after.versions?.[0]?.weight).toEqual({ desired: 90, applied: 90, acknowledged: 90, delayMs: 12, acknowledgedTime: '2026-03-01T09:59:59.500Z' });
  expect(isSameStatus(before, after)).toBe(true);
});

test('the receipt follows a weight: asked for, told to the proxies, acknowledged', () => {
  const before = of();
  const spec: MicroserviceSpec = { ...two, versions: [{ name: 'v1', image: 'a', weight: 50 }, { name: 'v2', image: 'b', weight: 50 }] };
  const weight = (traffic: TrafficObserved) => of({ spec, before, traffic }).versions?.[1]?.weight;
  expect(weight(inForce)).toMatchObject({ desired: 50, applied: 10, acknowledged: 10 });
  expect(weight({ ...inForce, applied: applied(50, 50), isAcknowledged: false })).toMatchObject({ desired: 50, applied: 50, acknowledged: 10 });
  expect(weight({ ...inForce, applied: applied(50, 50), acknowledgedTime: '2026-03-01T10:00:00.100Z', delayMs: 9 })).toEqual({ desired: 50, applied: 50, acknowledged: 50, delayMs: 9, acknowledgedTime: '2026-03-01T10:00:00.100Z' });
});

test('provider Service says that its split is approximate: the ratio of Ready pods, in percent', () => {
  const found = of({ spec: { ...two, traffic: { provider: 'Service' } }, traffic: trafficObserved() });
  expect(found.versions?.map((version) => version.weight)).toEqual([{ desired: 90, applied: 67 }, { desired: 10, applied: 33 }]);
  expect(condition(found, 'TrafficApplied')).toMatchObject({ status: 'True', reason: 'Approximate', message: expect.stringContaining('v1 67, v2 33') });
  expect(condition(found, 'Ready')).toMatchObject({ status: 'True' });
});

test('a worker without ports has no weights and no word on traffic', () => {
  const found = of({ spec: { image: 'x' }, children: [deployment('main', 1)], traffic: trafficObserved() });
  expect(found).not.toHaveProperty('traffic');
  expect(found).not.toHaveProperty('url');
  expect(found.versions?.[0]).not.toHaveProperty('weight');
  expect(types(found)).toEqual(['Ready', 'Accepted', 'Available']);
});

const autoscaler = (...conditions: readonly object[]): KubernetesObject & { readonly status: object } => ({ apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler', metadata: { name: 'hello--main' }, status: { conditions } });

test.each<[string, readonly KubernetesObject[], object]>([
  ['that has not reported', [], { status: 'False', reason: 'Pending' }],
  ['without metrics', [autoscaler({ type: 'ScalingActive', status: 'False', reason: 'FailedGetResourceMetric', message: 'unable to get metrics' })], { status: 'False', reason: 'FailedGetResourceMetric', message: expect.stringContaining('unable to get metrics') }],
  ['that works, and wins over replicas', [autoscaler({ type: 'ScalingActive', status: 'True', reason: 'ValidMetricFound' })], { status: 'True', message: expect.stringContaining('spec.replicas is ignored') }],
])('an autoscaler %s does not decide over Ready', (_what, children, expected) => {
  const found = of({ spec: { image: 'x', replicas: 3, autoscaling: { maxReplicas: 5 } }, children: [deployment('main', 1), ...children] });
  expect(condition(found, 'AutoscalingActive')).toMatchObject(expected);
  expect(condition(found, 'Ready')).toMatchObject({ status: 'True' });
});

const service = (ingress: readonly object[] = []): KubernetesObject & { readonly spec: object } => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'hello' }, spec: {}, ...{ status: { loadBalancer: { ingress } } } });

test.each<[string, MicroserviceSpec, readonly KubernetesObject[], string | undefined]>([
  ['in the cluster', two, [service()], 'http://hello.shop.svc'],
  ['another port', { image: 'x', ports: [{ name: 'web', port: 8080 }] }, [service()], 'http://hello.shop.svc:8080'],
  ['gRPC', { bundled: 'hello-grpc' }, [service()], 'grpc://hello.shop.svc:50051'],
  ['a load balancer', two, [service([{ ip: '192.0.2.1' }])], 'http://192.0.2.1'],
  ['a load balancer with a name', two, [service([{ hostname: 'lb.example.com' }])], 'http://lb.example.com'],
  ['no Service yet', two, [], undefined],
])('the URL: %s', (_what, spec, children, url) => {
  expect(of({ spec, children }).url).toBe(url);
});

test('empty lists and the order of keys are no difference', () => {
  expect(isSameStatus({ replicas: 1, readyReplicas: 1 }, { blockers: [], readyReplicas: 1, replicas: 1 })).toBe(true);
  expect(isSameStatus({ replicas: 1 }, { replicas: 2 })).toBe(false);
});
