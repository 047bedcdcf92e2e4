import { expect, test } from '@jest/globals';
import type { MicroserviceSpec } from '../api/microservice.ts';
import { microservice, settings } from '../../test/observed-world.ts';
import { configHash, configMapNames, requiredConfigMapNames } from './config-hash.ts';
import { type Version, versions } from './version.ts';

const spec: MicroserviceSpec = {
  image: 'x',
  files: [{ mountPath: '/a', configMap: 'files' }, { mountPath: '/b', secret: 'secret' }],
  envFrom: [{ configMapRef: { name: 'settings' } }, { configMapRef: { name: 'extra', optional: true } }, { secretRef: { name: 'secret' } }],
  env: [
    { name: 'A', valueFrom: { configMapKeyRef: { name: 'keys', key: 'a' } } },
    { name: 'B', valueFrom: { configMapKeyRef: { name: 'maybe', key: 'b', optional: true } } },
    { name: 'C', valueFrom: { configMapKeyRef: { name: 'files', key: 'c', optional: true } } },
    { name: 'D', value: 'd' },
  ],
};
const version = versions(microservice(spec), settings)[0] as Version;

test('names each ConfigMap once, and knows which of them the pods can do without', () => {
  expect(configMapNames(spec, version)).toEqual(['extra', 'files', 'keys', 'maybe', 'settings']);
  expect(requiredConfigMapNames(spec, version)).toEqual(['files', 'keys', 'settings']);
});

const names = { all: ['a', 'b'], required: ['a'] };
const hash = (contents: Readonly<Record<string, string>>, running?: string) => configHash(names, new Map(Object.entries(contents)), running);

test('another content, or an optional one that appears, is another hash; the same is the same', () => {
  const first = hash({ a: '1' });
  expect(hash({ a: '1' })).toBe(first);
  expect(hash({ a: '2' })).not.toBe(first);
  expect(hash({ a: '1', b: '1' })).not.toBe(first);
  expect(hash({ a: '1', unrelated: '1' })).toBe(first);
  expect(configHash({ all: [], required: [] }, new Map(), undefined)).toBeUndefined();
});

test('while one is missing, running pods keep their hash; without running pods there is one all the same', () => {
  expect(hash({ b: '1' }, 'running')).toBe('running');
  expect(hash({ b: '1' })).toMatch(/^[0-9a-f]{16}$/);
  expect(hash({ a: '2' }, 'running')).not.toBe('running');
});
