/** The Envoy proxies of one namespace: shared by its Microservices, so owned by none of them. */
import type { ObjectMeta } from '../api/kubernetes-object.ts';
import { type Manifest, pruned } from './manifest.ts';
import { FLEET, fleetLabels } from './names.ts';
import type { Settings } from './settings.ts';
import { spreadOverNodes, spreadOverZones } from './spread.ts';

export const FLEET_SECRET = 'microservice-fleet-tls';
/** Where Envoy answers the kubelet (`/ready`) and Prometheus; below the range of listener ports. */
export const FLEET_READY_PORT = 8002;
/** Envoy's admin interface, on loopback only. */
export const FLEET_ADMIN_PORT = 9901;
export const CERTIFICATE_DIRECTORY = '/certs';

const ENVOY_DRAIN_SECONDS = 8;
const EXIT_MARGIN_SECONDS = 10;

/**
 * How long it takes until every Service knows that a proxy has come or is going: the controller-manager writes about 20 of their slices
 * a second. In coarse steps, because another value rolls the fleet.
 */
const spreadSeconds = (serviceCount: number): number => ([100, 400, 1600, 6400].find((limit) => serviceCount <= limit) ?? 25_600) / 20;

/** How long a proxy that ends stays up: until no Service sends it connections and those it has were closed politely. */
export const fleetSleepSeconds = (serviceCount: number): number => 20 + spreadSeconds(serviceCount);

export interface FleetInput {
  readonly namespace: string;
  readonly settings: Settings;
  /** Envoy's bootstrap configuration as one line of JSON. */
  readonly bootstrap: string;
  /** Services that point at this fleet. */
  readonly serviceCount: number;
}

export function fleetManifests(input: FleetInput): readonly Manifest[] {
  return [fleetServiceAccount(input), fleetService(input), fleetDeployment(input), fleetDisruptionBudget(input)].map(pruned);
}

const meta = (namespace: string): ObjectMeta => ({ name: FLEET, namespace, labels: fleetLabels });

const fleetServiceAccount = ({ namespace }: FleetInput): Manifest => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: meta(namespace),
  automountServiceAccountToken: false,
});

/** For Prometheus; users call their own Services. */
const fleetService = ({ namespace }: FleetInput): Manifest => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: meta(namespace),
  spec: {
    clusterIP: 'None',
    selector: fleetLabels,
    ports: [{ name: 'metrics', port: FLEET_READY_PORT, targetPort: FLEET_READY_PORT, protocol: 'TCP', appProtocol: 'http' }],
  },
});

const fleetDisruptionBudget = ({ namespace, settings }: FleetInput): Manifest => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: meta(namespace),
  spec: {
    // A single proxy must not block a node drain for ever.
    maxUnavailable: settings.fleetReplicas > 1 ? 1 : '100%',
    selector: { matchLabels: fleetLabels },
    unhealthyPodEvictionPolicy: 'AlwaysAllow',
  },
});

function fleetDeployment(input: FleetInput): Manifest {
  const { namespace, settings, serviceCount } = input;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: meta(namespace),
    spec: {
      replicas: settings.fleetReplicas,
      revisionHistoryLimit: 3,
      // The next proxy goes when every Service has this one.
      minReadySeconds: 2 + spreadSeconds(serviceCount),
      selector: { matchLabels: fleetLabels },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: { metadata: { labels: fleetLabels }, spec: fleetPod(input) },
    },
  };
}

function fleetPod({ namespace, settings, bootstrap, serviceCount }: FleetInput): object {
  const sleepSeconds = fleetSleepSeconds(serviceCount);
  return {
    serviceAccountName: FLEET,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: sleepSeconds + ENVOY_DRAIN_SECONDS + EXIT_MARGIN_SECONDS,
    securityContext: { runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, fsGroup: 65532, seccompProfile: { type: 'RuntimeDefault' } },
    topologySpreadConstraints: [spreadOverNodes(fleetLabels)],
    affinity: { podAntiAffinity: spreadOverZones(fleetLabels) },
    containers: [
      {
        name: 'envoy',
        image: settings.fleetImage,
        command: ['envoy'],
        args: [
          '--config-yaml',
          bootstrap,
          '--service-cluster',
          namespace,
          '--service-node',
          '$(POD_UID)',
          '--drain-time-s',
          String(ENVOY_DRAIN_SECONDS),
          '--disable-hot-restart',
          '--concurrency',
          '2',
          '--log-level',
          'warning',
        ],
        env: [{ name: 'POD_UID', valueFrom: { fieldRef: { fieldPath: 'metadata.uid' } } }],
        ports: [{ name: 'metrics', containerPort: FLEET_READY_PORT, protocol: 'TCP' }],
        resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '1Gi' } },
        // Not Ready before it holds the whole configuration: the ready listener opens after the first fetch. No liveness probe on
        // this: while the operator is away, a new proxy would be killed again and again.
        readinessProbe: { httpGet: { path: '/ready', port: FLEET_READY_PORT }, periodSeconds: 1, failureThreshold: 3 },
        lifecycle: { preStop: { sleep: { seconds: sleepSeconds } } },
        securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
        volumeMounts: [{ name: 'certs', mountPath: CERTIFICATE_DIRECTORY, readOnly: true }],
      },
    ],
    volumes: [{ name: 'certs', secret: { secretName: FLEET_SECRET } }],
  };
}
