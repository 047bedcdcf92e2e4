import { expect, test } from '@jest/globals';
import { microservice, settings } from '../../test/observed-world.ts';
import type { MicroserviceSpec } from '../api/microservice.ts';
import type { Deployment } from './observed.ts';
import { replicas } from './replicas.ts';
import { type Version, versions } from './version.ts';

const of = (spec: Partial<MicroserviceSpec>): Version => versions(microservice({ image: 'x', ...spec }), settings)[0] as Version;
const live = (count: number): Deployment => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'hello--main' }, spec: { replicas: count } });
const autoscaling = { minReplicas: 3, maxReplicas: 9 };

test.each<[string, Version, Deployment | undefined, number | undefined]>([
  ['fixed, at creation', of({ replicas: 4 }), undefined, 4],
  ['fixed, edited by somebody', of({ replicas: 4 }), live(9), 4],
  ['fixed at none', of({ replicas: 0 }), live(2), 0],
  ['autoscaled, at creation: the minimum', of({ autoscaling }), undefined, 3],
  ['autoscaled without a minimum', of({ autoscaling: { maxReplicas: 9 } }), undefined, 1],
  ['autoscaled and running: silent', of({ autoscaling, replicas: 1 }), live(7), undefined],
  ['autoscaled and at the minimum: silent', of({ autoscaling }), live(3), undefined],
  ['autoscaled after a crash in the middle of creation', of({ autoscaling }), live(1), 3],
  ['autoscaled from none, where the autoscaler would never start', of({ autoscaling }), live(0), 3],
])('%s', (_what, version, deployment, expected) => {
  expect(replicas(version, deployment)).toBe(expected);
});
