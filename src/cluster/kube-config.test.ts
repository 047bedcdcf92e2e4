import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { dump } from 'js-yaml';
import { kubeConfig } from './kube-config.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kube-config-'));
  path = join(folder, 'config');
});

afterEach(() => rmSync(folder, { recursive: true }));

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const write = (user: Record<string, unknown>): void => {
  const clusters = [
    { name: 'one', cluster: { server: 'https://one:6443', 'certificate-authority-data': base64('the CA'), 'tls-server-name': 'kubernetes' } },
    { name: 'two', cluster: { server: 'https://two:8080' } },
  ];
  const contexts = [
    { name: 'first', context: { cluster: 'one', user: 'me', namespace: 'mine' } },
    { name: 'second', context: { cluster: 'two', user: 'me' } },
    { name: 'broken', context: { cluster: 'none', user: 'me' } },
  ];
  writeFileSync(path, dump({ apiVersion: 'v1', kind: 'Config', 'current-context': 'first', clusters, contexts, users: [{ name: 'me', user }] }));
};

test('a client certificate becomes options of node:tls', async () => {
  write({ 'client-certificate-data': base64('my certificate'), 'client-key-data': base64('my key') });
  const config = kubeConfig({ path });
  expect(config.namespace).toBe('mine');
  const { server, headers, tls } = await config.read({ afresh: false });
  expect([server, headers]).toEqual(['https://one:6443', {}]);
  expect(tls).toEqual({ ca: Buffer.from('the CA'), cert: Buffer.from('my certificate'), key: Buffer.from('my key'), servername: 'kubernetes' });
});

test('a token becomes a header without a line break; afresh reads the file again', async () => {
  write({ token: 'old\n' });
  const config = kubeConfig({ path });
  expect((await config.read({ afresh: false })).headers).toEqual({ Authorization: 'Bearer old' });
  write({ token: 'new' });
  expect((await config.read({ afresh: false })).headers).toEqual({ Authorization: 'Bearer old' });
  expect((await config.read({ afresh: true })).headers).toEqual({ Authorization: 'Bearer new' });
});

test('another context; what is missing is named', async () => {
  write({ token: 't' });
  const second = kubeConfig({ path, context: 'second' });
  expect([second.namespace, (await second.read({ afresh: false })).server]).toEqual(['default', 'https://two:8080']);
  expect(() => kubeConfig({ path, context: 'broken' })).toThrow(`${path}: context broken names no cluster; set current-context or pass another one`);
  expect(() => kubeConfig({ path: join(folder, 'nothing') })).toThrow('ENOENT');
});
