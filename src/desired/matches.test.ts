import { expect, test } from '@jest/globals';
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import type { Manifest } from './manifest.ts';
import { matches, stamped } from './matches.ts';

const of = (spec: object): Manifest & KubernetesObject => ({ apiVersion: 'v1', kind: 'Thing', metadata: { name: 'a' }, spec });

/** Applying the left would change nothing in the right. */
test.each<[string, object, object]>([
  ['the same', { a: 1 }, { a: 1 }],
  ['defaults of the API server', { a: 1 }, { a: 1, b: 2 }],
  ['an injected sidecar before ours', { containers: [{ name: 'main', image: 'x' }] }, { containers: [{ name: 'proxy' }, { name: 'main', image: 'x', terminationMessagePath: '/dev/termination-log' }] }],
  ['a keyed list in another order', { env: [{ name: 'A', value: '1' }, { name: 'B', value: '2' }] }, { env: [{ name: 'B', value: '2' }, { name: 'A', value: '1' }] }],
  ['zero values, which Go leaves out', { initialDelaySeconds: 0, readOnly: false, value: '' }, {}],
  ['a quantity in canonical form', { resources: { requests: { cpu: '1000m', memory: '1024Mi' } } }, { resources: { requests: { cpu: '1', memory: '1Gi' } } }],
  ['a decimal quantity in canonical form', { resources: { requests: { cpu: '0.35' } } }, { resources: { requests: { cpu: '350m' } } }],
  ['a quantity given as a number', { resources: { limits: { cpu: 2 } } }, { resources: { limits: { cpu: '2' } } }],
  ['the size limit of a volume', { volumes: [{ name: 'tmp', emptyDir: { sizeLimit: '0.5Gi' } }] }, { volumes: [{ name: 'tmp', emptyDir: { sizeLimit: '512Mi' } }] }],
  ['an average value of a metric', { metrics: [{ type: 'Resource', resource: { target: { averageValue: '0.5' } } }] }, { metrics: [{ type: 'Resource', resource: { target: { averageValue: '500m' } } }] }],
  ['two affinity terms with one topology key', { terms: [{ topologyKey: 'host', labelSelector: { matchLabels: { a: '1' } } }, { topologyKey: 'host', labelSelector: { matchLabels: { b: '2' } } }] }, { terms: [{ topologyKey: 'host', labelSelector: { matchLabels: { a: '1' } } }, { topologyKey: 'host', labelSelector: { matchLabels: { b: '2' } } }] }],
  ['a second owner of the same name', { ownerReferences: [{ kind: 'Microservice', name: 'hello', uid: '1' }] }, { ownerReferences: [{ kind: 'Other', name: 'hello', uid: '2' }, { kind: 'Microservice', name: 'hello', uid: '1', blockOwnerDeletion: true }] }],
  ['an empty selector', { affinity: { namespaceSelector: {} } }, { affinity: { namespaceSelector: {} } }],
])('%s is no difference', (_what, want, have) => {
  expect(matches(of(want), of(have))).toBe(true);
});

test.each<[string, object, object]>([
  ['another value', { a: 1 }, { a: 2 }],
  ['a field that is gone', { a: 1 }, {}],
  ['a zero that became something', { replicas: 0 }, { replicas: 3 }],
  ['an element that is gone', { env: [{ name: 'A', value: '1' }] }, { env: [{ name: 'B', value: '1' }] }],
  ['an edited element', { containers: [{ name: 'main', image: 'x' }] }, { containers: [{ name: 'main', image: 'y' }] }],
  ['other words in a command', { command: ['a', 'b'] }, { command: ['a', 'c'] }],
  ['one word more in a command', { command: ['a'] }, { command: ['a', 'b'] }],
  ['the order of a list without a key', { tolerations: [{ key: 'a' }, { key: 'b' }] }, { tolerations: [{ key: 'b' }, { key: 'a' }] }],
  ['one element more in a list without a key', { metrics: [{ type: 'Resource' }] }, { metrics: [{ type: 'Resource' }, { type: 'Pods' }] }],
  ['another quantity', { requests: { cpu: '100m' } }, { requests: { cpu: '200m' } }],
  ['a number that only looks like a quantity elsewhere', { value: '1000m' }, { value: '1' }],
  ['one label more in a selector, which then selects nobody', { selector: { app: 'a' } }, { selector: { app: 'a', extra: 'b' } }],
  ['one label more in a node selector', { nodeSelector: { disk: 'ssd' } }, { nodeSelector: { disk: 'ssd', zone: 'a' } }],
  ['a map instead of a list', { ports: [{ name: 'a' }] }, { ports: { name: 'a' } }],
])('%s is a difference', (_what, want, have) => {
  expect(matches(of(want), of(have))).toBe(false);
});

test('a field that we stop sending is noticed by the hash, though every other field is as it should be', () => {
  const before = stamped(of({ a: 1, b: 2 }));
  const after = stamped(of({ a: 1 }));
  expect(matches(after, before)).toBe(false);
  expect(matches(before, structuredClone(before))).toBe(true);
});

test('the hash keeps the annotations and does not depend on itself', () => {
  const manifest: Manifest = { apiVersion: 'v1', kind: 'Thing', metadata: { name: 'a', annotations: { mine: 'x' } } };
  const { annotations } = stamped(manifest).metadata;
  expect(annotations).toEqual({ mine: 'x', 'microservice-operator.io/applied-hash': expect.stringMatching(/^[0-9a-f]{16}$/) });
  expect(stamped(manifest)).toEqual(stamped(manifest));
});
