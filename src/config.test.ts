import { expect, test } from '@jest/globals';
import { config } from './config.ts';

const inPod = { POD_NAMESPACE: 'operators', POD_NAME: 'microservice-operator-0' };

test('needs nothing but its namespace', () => {
  expect(config([], inPod, 'abc')).toMatchObject({
    namespace: 'operators',
    imagePrefix: 'ghcr.io/microservice-operator',
    leaderElect: true,
    logLevel: 'info',
    identity: 'microservice-operator-0_abc',
    xdsHost: 'microservice-operator-xds.operators.svc',
    xdsPort: 18_000,
    checkUninstall: false,
  });
});

test('flags win over the environment and over defaults', () => {
  const flags = ['--namespace=mine', '--workers', '4', '--leader-elect=false', '--log-level=debug', '--xds-host=localhost', '--xds-port=0', '--check-uninstall', '--fleet-replicas=1'];
  expect(config(flags, inPod, 'abc')).toMatchObject({ namespace: 'mine', workers: 4, leaderElect: false, logLevel: 'debug', xdsHost: 'localhost', xdsPort: 0, checkUninstall: true, fleetReplicas: 1 });
});

test('two processes on one host have different identities', () => {
  expect(config([], { POD_NAMESPACE: 'x' }, 'a').identity).not.toBe(config([], { POD_NAMESPACE: 'x' }, 'b').identity);
});

test.each([
  [['--workers=0'], '--workers is "0": give an integer from 1 to 256'],
  [['--workers=many'], '--workers is "many"'],
  [['--workers=1.5'], '--workers is "1.5"'],
  [['--xds-port=65536'], '--xds-port is "65536": give an integer from 0 to 65535'],
  [['--fleet-replicas=-1'], '--fleet-replicas is "-1"'],
  [['--log-level=loud'], '--log-level is "loud": give one of error, warn, info, debug'],
  [['--leader-elect=maybe'], '--leader-elect is "maybe": give one of true, false'],
  [['--worker=3'], "'--worker'"],
  [['run'], "'run'"],
])('%j is refused with the flag and the fix', (flags, message) => {
  expect(() => config(flags, inPod, 'abc')).toThrow(message);
});

test('without a namespace it says how to give one', () => {
  expect(() => config([], {}, 'abc')).toThrow('--namespace is missing');
  expect(() => config([], { POD_NAMESPACE: '' }, 'abc')).toThrow('set POD_NAMESPACE');
});
