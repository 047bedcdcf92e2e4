import { expect, test } from '@jest/globals';
import type { MicroserviceSpec } from '../api/microservice.ts';
import { microservice, settings } from '../../test/observed-world.ts';
import { ports, provider, versions } from './version.ts';

const of = (spec: MicroserviceSpec) => versions(microservice(spec), settings);

test('a single image is the version main', () => {
  expect(of({ image: 'registry.example.com/shop:1' })).toEqual([
    { name: 'main', image: 'registry.example.com/shop:1', bundled: undefined, weight: 1, replicas: 1, autoscaling: undefined, env: [], resources: { requests: { cpu: '50m', memory: '64Mi' } } },
  ]);
});

test("a bundled service runs the operator's own image", () => {
  expect(of({ bundled: 'register' })[0]).toMatchObject({ name: 'main', bundled: 'register', image: 'registry.example.com/operator/register:1.2.3' });
});

test('env is merged by name, the version having the last word; replicas and resources replace', () => {
  const [v1, v2] = of({
    versions: [
      { name: 'v1', image: 'a' },
      { name: 'v2', image: 'b', weight: 0, replicas: 0, env: [{ name: 'B', value: 'mine' }, { name: 'C', value: 'more' }], resources: { limits: { cpu: 1 } } },
    ],
    env: [{ name: 'A', value: 'a' }, { name: 'B', value: 'b' }],
    replicas: 4,
    resources: { requests: { cpu: '1' } },
  });
  expect(v1).toMatchObject({ weight: 1, replicas: 4, env: [{ name: 'A', value: 'a' }, { name: 'B', value: 'b' }], resources: { requests: { cpu: '1' } } });
  expect(v2).toMatchObject({ weight: 0, replicas: 0, env: [{ name: 'A', value: 'a' }, { name: 'B', value: 'mine' }, { name: 'C', value: 'more' }] });
  expect(v2?.resources).toEqual({ limits: { cpu: 1 } });
});

test("the nearer word on scaling wins: a version's own, its replicas, then the inherited autoscaling", () => {
  const inherited = { maxReplicas: 5 };
  const own = { maxReplicas: 9 };
  const found = of({ versions: [{ name: 'a', image: 'x' }, { name: 'b', image: 'x', replicas: 2 }, { name: 'c', image: 'x', replicas: 2, autoscaling: own }], replicas: 3, autoscaling: inherited });
  expect(found.map((version) => version.autoscaling)).toEqual([inherited, undefined, own]);
});

test('ports are as given, completed', () => {
  expect(ports({ image: 'x', ports: [{ name: 'web', port: 80 }, { name: 'api', port: 90, targetPort: 9000, protocol: 'GRPC' }] })).toEqual([
    { name: 'web', port: 80, targetPort: 80, protocol: 'HTTP' },
    { name: 'api', port: 90, targetPort: 9000, protocol: 'GRPC' },
  ]);
});

test.each<[string, MicroserviceSpec, readonly object[]]>([
  ['hello-http', { bundled: 'hello-http' }, [{ name: 'http', port: 80, targetPort: 8080, protocol: 'HTTP' }]],
  ['hello-grpc', { bundled: 'hello-grpc' }, [{ name: 'grpc', port: 50051, targetPort: 50051, protocol: 'GRPC' }]],
  ['a bundled version', { versions: [{ name: 'v1', bundled: 'register' }] }, [{ name: 'http', port: 80, targetPort: 8080, protocol: 'HTTP' }]],
  ['a worker', { image: 'x' }, []],
])('%s without ports has its own or none', (_what, spec, expected) => {
  expect(ports(spec)).toEqual(expected);
});

test('Envoy is the provider unless the spec says otherwise', () => {
  expect([provider({ image: 'x' }), provider({ image: 'x', traffic: {} }), provider({ image: 'x', traffic: { provider: 'Service' } })]).toEqual(['Envoy', 'Envoy', 'Service']);
});
