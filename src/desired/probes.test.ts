import { expect, test } from '@jest/globals';
import type { Protocol } from '../api/microservice.ts';
import { microservice, settings } from '../../test/observed-world.ts';
import { containerProbes } from './probes.ts';
import { type Port, type Version, versions } from './version.ts';

const image = versions(microservice({ image: 'x' }), settings)[0] as Version;
const port = (protocol: Protocol): Port => ({ name: 'web', port: 80, targetPort: 8080, protocol });

test.each<[Protocol, object]>([
  ['HTTP', { tcpSocket: { port: 8080 }, periodSeconds: 2 }],
  ['TCP', { tcpSocket: { port: 8080 }, periodSeconds: 2 }],
  ['GRPC', { grpc: { port: 8080 }, periodSeconds: 2 }],
])('an unknown %s image is asked what it cannot fail, and never killed for the answer', (protocol, readinessProbe) => {
  expect(containerProbes(image, [port(protocol)])).toEqual({ readinessProbe });
});

test('a worker has no probe', () => {
  expect(containerProbes(image, [])).toEqual({});
});

test('a probe of the user replaces the default of its kind alone, names its port, and keeps its timing', () => {
  const admin: Port = { name: 'admin', port: 9000, targetPort: 9001, protocol: 'HTTP' };
  expect(containerProbes(image, [port('HTTP'), admin], { liveness: { httpGet: { path: '/live', port: 'admin' }, periodSeconds: 30, timeoutSeconds: 5, failureThreshold: 2 } })).toEqual({
    readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 2 },
    livenessProbe: { httpGet: { path: '/live', port: 9001 }, periodSeconds: 30, timeoutSeconds: 5, failureThreshold: 2 },
  });
});

test.each([
  [{ httpGet: {} }, { httpGet: { path: '/', port: 8080 } }],
  [{ grpc: { service: 'shop' } }, { grpc: { port: 8080, service: 'shop' } }],
  [{ tcpSocket: {} }, { tcpSocket: { port: 8080 } }],
  [{ exec: { command: ['/check'] } }, { exec: { command: ['/check'] } }],
])('%j becomes the handler of Kubernetes', (readiness, handler) => {
  expect(containerProbes(image, [port('HTTP')], { readiness }).readinessProbe).toEqual({ ...handler, periodSeconds: 2 });
});
