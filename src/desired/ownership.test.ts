import { expect, test } from '@jest/globals';
import type { KubernetesObject, OwnerReference } from '../api/kubernetes-object.ts';
import { microservice } from '../../test/observed-world.ts';
import { isControlledBy, isFleetObject, ownership } from './ownership.ts';

const hello = microservice({ bundled: 'hello-http' });
const owner = (overrides: Partial<OwnerReference> = {}): OwnerReference => ({ apiVersion: 'microservice-operator.io/v1alpha1', kind: 'Microservice', name: 'hello', uid: 'uid-of-hello', controller: true, ...overrides });
const deployment = (...ownerReferences: readonly OwnerReference[]): KubernetesObject => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'hello--main', ownerReferences } });

test.each<[string, KubernetesObject, string]>([
  ['the controller with the uid', deployment(owner()), 'ours'],
  ['another owner beside it', deployment({ ...owner({ uid: 'x', kind: 'ConfigMap' }), controller: false }, owner()), 'ours'],
  ['a namesake that was deleted', deployment(owner({ uid: 'uid-before' })), 'predecessor'],
  ['a namesake under an older API version', deployment(owner({ uid: 'uid-before', apiVersion: 'microservice-operator.io/v1alpha0' })), 'predecessor'],
  ['another Microservice', deployment(owner({ uid: 'x', name: 'other' })), 'stranger'],
  ['a Microservice of another group', deployment(owner({ uid: 'x', apiVersion: 'example.com/v1' })), 'stranger'],
  ['an owner that is no controller', deployment(owner({ controller: false })), 'stranger'],
  ['nobody any more, but our stamp tells the uid', { ...deployment(), metadata: { name: 'hello--main', annotations: { 'microservice-operator.io/applied-hash': 'uid-of-hello/0123' } } }, 'ours'],
  ['nobody, stamped for a namesake', { ...deployment(), metadata: { name: 'hello--main', annotations: { 'microservice-operator.io/applied-hash': 'uid-before/0123' } } }, 'stranger'],
  ['another Microservice, whatever the stamp says', { ...deployment(owner({ uid: 'x', name: 'other' })), metadata: { name: 'hello--main', ownerReferences: [owner({ uid: 'x', name: 'other' })], annotations: { 'microservice-operator.io/applied-hash': 'uid-of-hello/0123' } } }, 'stranger'],
  ['nobody, whatever its labels say', { ...deployment(), metadata: { name: 'hello--main', labels: { 'app.kubernetes.io/managed-by': 'microservice-operator', 'microservice-operator.io/microservice': 'hello' } } }, 'stranger'],
])('%s: %#', (_what, object, expected) => {
  expect(ownership(object, hello)).toBe(expected);
});

const labels = { 'app.kubernetes.io/managed-by': 'microservice-operator', 'microservice-operator.io/microservice': 'hello' };
const claim = (name: string, claimLabels: Readonly<Record<string, string>>): KubernetesObject => ({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name, labels: claimLabels } });

test('a claim has no owner, so its name and its labels together are the proof', () => {
  expect(ownership(claim('hello-storage', labels), hello)).toBe('ours');
  expect(ownership(claim('other', labels), hello)).toBe('stranger');
  expect(ownership(claim('hello-storage', { ...labels, 'microservice-operator.io/microservice': 'other' }), hello)).toBe('stranger');
  expect(ownership(claim('hello-storage', {}), hello)).toBe('stranger');
});

test('a fleet object has the name and the labels of the fleet', () => {
  const fleet = { 'app.kubernetes.io/managed-by': 'microservice-operator', 'microservice-operator.io/component': 'fleet' };
  const service = (name: string, given: Readonly<Record<string, string>>): KubernetesObject => ({ apiVersion: 'v1', kind: 'Service', metadata: { name, labels: given } });
  expect(isFleetObject(service('microservice-fleet', fleet))).toBe(true);
  expect(isFleetObject(service('microservice-fleet', {}))).toBe(false);
  expect(isFleetObject(service('other', fleet))).toBe(false);
});

test('to be deleted, a child needs the reference itself: a copy of it carries our record too', () => {
  const record = { 'microservice-operator.io/applied-hash': 'uid-of-hello/0123' };
  const copy = { ...deployment(), metadata: { name: 'hello--main', annotations: record } };
  expect(isControlledBy(copy, hello)).toBe(false);
  expect(isControlledBy(deployment(owner()), hello)).toBe(true);
});
