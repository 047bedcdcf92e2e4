/** Flags, read once. The only reader of the process's arguments and environment. */
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';

export interface Config {
  /** The operator's own namespace: its Lease, its CA Secret and its xDS Service are here. */
  readonly namespace: string;
  readonly imagePrefix: string;
  readonly imageTag: string;
  readonly fleetImage: string;
  readonly fleetReplicas: number;
  readonly workers: number;
  readonly logLevel: 'error' | 'warn' | 'info' | 'debug';
  readonly leaderElect: boolean;
  /** Unique per process: the holder named in the Lease. */
  readonly identity: string;
  /** DNS name by which proxies find the leader. */
  readonly xdsHost: string;
  readonly xdsPort: number;
  readonly metricsPort: number;
  readonly probePort: number;
  /** Undefined: the service account of the pod. */
  readonly kubeconfigPath: string | undefined;
  /** Only look whether Microservices exist, and fail if so: what `helm uninstall` asks first. */
  readonly checkUninstall: boolean;
}

const OPTIONS = {
  namespace: { type: 'string' },
  'image-prefix': { type: 'string', default: 'ghcr.io/microservice-operator' },
  'image-tag': { type: 'string', default: '0.1.0' },
  'fleet-image': { type: 'string', default: 'docker.io/envoyproxy/envoy:distroless-v1.40.0' },
  'fleet-replicas': { type: 'string', default: '2' },
  workers: { type: 'string', default: '8' },
  'log-level': { type: 'string', default: 'info' },
  'leader-elect': { type: 'string', default: 'true' },
  'xds-host': { type: 'string' },
  'xds-port': { type: 'string', default: '18000' },
  'metrics-port': { type: 'string', default: '8080' },
  'probe-port': { type: 'string', default: '8081' },
  'check-uninstall': { type: 'boolean', default: false },
} as const;

/** Throws with the flag and the fix. */
export function config(args: readonly string[], environment: Readonly<Record<string, string | undefined>>, randomSuffix: string): Config {
  const { values } = parseArgs({ args: [...args], options: OPTIONS, strict: true });
  const namespace = values.namespace ?? environment['POD_NAMESPACE'];
  if (!namespace) throw new Error('--namespace is missing: give the namespace that the operator runs in, or set POD_NAMESPACE');
  return {
    namespace,
    imagePrefix: values['image-prefix'],
    imageTag: values['image-tag'],
    fleetImage: values['fleet-image'],
    fleetReplicas: integer('fleet-replicas', values['fleet-replicas'], { min: 1, max: 100 }),
    workers: integer('workers', values.workers, { min: 1, max: 256 }),
    logLevel: oneOf('log-level', values['log-level'], ['error', 'warn', 'info', 'debug'] as const),
    leaderElect: oneOf('leader-elect', values['leader-elect'], ['true', 'false'] as const) === 'true',
    identity: `${environment['POD_NAME'] ?? hostname()}_${randomSuffix}`,
    xdsHost: values['xds-host'] ?? `microservice-operator-xds.${namespace}.svc`,
    xdsPort: integer('xds-port', values['xds-port'], PORT_RANGE),
    metricsPort: integer('metrics-port', values['metrics-port'], PORT_RANGE),
    probePort: integer('probe-port', values['probe-port'], PORT_RANGE),
    kubeconfigPath: environment['KUBECONFIG'],
    checkUninstall: values['check-uninstall'],
  };
}

/** 0: any free port. */
const PORT_RANGE = { min: 0, max: 65_535 };

function integer(flag: string, text: string, { min, max }: { readonly min: number; readonly max: number }): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new Error(`--${flag} is "${text}": give an integer from ${min} to ${max}`);
}

function oneOf<T extends string>(flag: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === text);
  if (found !== undefined) return found;
  throw new Error(`--${flag} is "${text}": give one of ${allowed.join(', ')}`);
}
