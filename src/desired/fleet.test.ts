import { expect, test } from '@jest/globals';
import { settings } from '../../test/observed-world.ts';
import { fleetManifests, fleetSleepSeconds } from './fleet.ts';

const manifests = (serviceCount = 1, fleetReplicas = 2) => fleetManifests({ namespace: 'shop', settings: { ...settings, fleetReplicas }, bootstrap: '{"node":{}}', serviceCount });
const find = (kind: string, fleetReplicas = 2) => manifests(1, fleetReplicas).find((manifest) => manifest.kind === kind);

test('is a ServiceAccount, a Service, a Deployment and a PodDisruptionBudget, all named and labelled as the fleet', () => {
  expect(manifests().map(({ kind }) => kind)).toEqual(['ServiceAccount', 'Service', 'Deployment', 'PodDisruptionBudget']);
  for (const { metadata } of manifests()) {
    expect(metadata).toEqual({
      name: 'microservice-fleet',
      namespace: 'shop',
      labels: { 'app.kubernetes.io/name': 'microservice-fleet', 'app.kubernetes.io/managed-by': 'microservice-operator', 'microservice-operator.io/component': 'fleet' },
    });
  }
});

/** https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted */
test('its pods pass the restricted level, cannot write, and hold no token', () => {
  expect(find('Deployment')).toMatchObject({
    spec: {
      replicas: 2,
      strategy: { rollingUpdate: { maxUnavailable: 0 } },
      template: {
        spec: {
          automountServiceAccountToken: false,
          securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
          containers: [
            {
              image: 'registry.example.com/envoy:1.40',
              args: expect.arrayContaining(['--config-yaml', '{"node":{}}', '--service-node', '$(POD_UID)']),
              securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
              readinessProbe: { httpGet: { path: '/ready', port: 8002 } },
            },
          ],
          volumes: [{ secret: { secretName: 'microservice-fleet-tls' } }],
        },
      },
    },
  });
  expect(JSON.stringify(find('Deployment'))).not.toContain('livenessProbe');
});

test('a proxy outlives its Services: it sleeps while they leave it out, then drains, then has a margin', () => {
  const deployment = manifests(500).find(({ kind }) => kind === 'Deployment');
  expect(deployment).toMatchObject({ spec: { template: { spec: { terminationGracePeriodSeconds: 100 + 8 + 10, containers: [{ lifecycle: { preStop: { sleep: { seconds: 100 } } } }] } } } });
});

test('the sleep covers 20 Services a second, in few steps, since another value rolls the fleet', () => {
  const counts = Array.from({ length: 6_400 }, (_, index) => index + 1);
  for (const count of counts) expect(fleetSleepSeconds(count)).toBeGreaterThanOrEqual(20 + count / 20);
  expect([...new Set(counts.map(fleetSleepSeconds))]).toEqual([25, 40, 100, 340]);
});

test.each([
  [1, '100%'],
  [2, 1],
  [5, 1],
])('with %d proxies a node drain may take %s at once', (replicas, maxUnavailable) => {
  expect(find('PodDisruptionBudget', replicas)).toMatchObject({ spec: { maxUnavailable, unhealthyPodEvictionPolicy: 'AlwaysAllow' } });
});
