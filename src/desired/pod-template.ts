import type { EnvVar, FileMount, Microservice, MicroserviceSpec } from '../api/microservice.ts';
import { ANNOTATION, claimName, versionLabels, versionSelector } from './names.ts';
import { containerProbes } from './probes.ts';
import { spreadOverNodes, spreadOverZones } from './spread.ts';
import type { Port, Version } from './version.ts';

/** Longer than it takes a new leader to be elected (lease 15 s) and to tell the proxies: a pod that ends while nobody leads still answers. */
const PRE_STOP_SLEEP_SECONDS = 20;
const SHUTDOWN_SECONDS = 30;
/** The user and group of the bundled images and of volumes: distroless' "nonroot". */
const NON_ROOT = 65532;
const TMP_SIZE_LIMIT = '128Mi';

export interface PodTemplate {
  readonly metadata: object;
  readonly spec: object;
}

export function podTemplate(microservice: Microservice, version: Version, ports: readonly Port[], configHash: string | undefined): PodTemplate {
  const { spec } = microservice;
  const { name } = microservice.metadata;
  const pods = versionSelector(name, version.name);
  const preStopSleepSeconds = spec.lifecycle?.preStopSleepSeconds ?? PRE_STOP_SLEEP_SECONDS;
  return {
    metadata: {
      labels: { ...spec.podLabels, ...versionLabels(name, version.name) },
      annotations: { ...spec.podAnnotations, [ANNOTATION.configHash]: configHash, [ANNOTATION.restartedAt]: spec.restartedAt },
    },
    spec: {
      serviceAccountName: spec.serviceAccountName ?? name,
      // An own ServiceAccount has no rights, so its token would only be something to steal.
      automountServiceAccountToken: spec.serviceAccountName === undefined ? false : undefined,
      enableServiceLinks: false,
      imagePullSecrets: spec.imagePullSecrets,
      terminationGracePeriodSeconds: spec.lifecycle?.terminationGracePeriodSeconds ?? preStopSleepSeconds + SHUTDOWN_SECONDS,
      securityContext: podSecurityContext(spec, version),
      nodeSelector: spec.scheduling?.nodeSelector,
      tolerations: spec.scheduling?.tolerations,
      affinity: { podAntiAffinity: spreadOverZones(pods), ...spec.scheduling?.affinity },
      priorityClassName: spec.scheduling?.priorityClassName,
      topologySpreadConstraints: [spreadOverNodes(pods)],
      containers: [
        {
          name: 'main',
          image: version.image,
          command: spec.command,
          args: spec.args,
          env: environment(version, spec),
          envFrom: spec.envFrom,
          ports: ports.map((port) => ({ name: port.name, containerPort: port.targetPort, protocol: 'TCP' })),
          resources: version.resources,
          ...containerProbes(version, ports, spec.probes),
          lifecycle: preStopSleepSeconds > 0 ? { preStop: { sleep: { seconds: preStopSleepSeconds } } } : undefined,
          securityContext: containerSecurityContext(spec),
          volumeMounts: volumes(name, spec).map((volume) => volume.mount),
        },
      ],
      volumes: volumes(name, spec).map((volume) => volume.source),
    },
  };
}

function environment(version: Version, spec: MicroserviceSpec): readonly EnvVar[] {
  if (!version.bundled) return version.env;
  const own: EnvVar[] = [{ name: 'VERSION', value: version.name }];
  if (version.bundled === 'register' && spec.storage) own.push({ name: 'DATA_DIR', value: spec.storage.mountPath });
  return [...own.filter((variable) => !version.env.some((given) => given.name === variable.name)), ...version.env];
}

function podSecurityContext(spec: MicroserviceSpec, version: Version): object {
  const runtime = { seccompProfile: { type: 'RuntimeDefault' }, fsGroup: spec.storage ? NON_ROOT : undefined };
  if (spec.podSecurity === 'Baseline') return runtime;
  const user = version.bundled ? { runAsUser: NON_ROOT, runAsGroup: NON_ROOT } : {};
  return { ...runtime, runAsNonRoot: true, ...user };
}

/** https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and a read-only root on top. */
function containerSecurityContext(spec: MicroserviceSpec): object | undefined {
  if (spec.podSecurity === 'Baseline') return undefined;
  return { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } };
}

interface Volume {
  readonly source: { readonly name: string; readonly [kind: string]: unknown };
  readonly mount: { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean };
}

function volumes(name: string, spec: MicroserviceSpec): readonly Volume[] {
  const given = [...(spec.files ?? []).map(fileVolume), ...storageVolume(name, spec)];
  const needsTmp = spec.podSecurity !== 'Baseline' && !given.some((volume) => volume.mount.mountPath === '/tmp');
  return needsTmp ? [...given, tmpVolume] : given;
}

const tmpVolume: Volume = {
  source: { name: 'tmp', emptyDir: { sizeLimit: TMP_SIZE_LIMIT } },
  mount: { name: 'tmp', mountPath: '/tmp' },
};

const fileVolume = (file: FileMount, index: number): Volume => ({
  source: {
    name: `files-${index}`,
    ...(file.configMap === undefined ? { secret: { secretName: file.secret } } : { configMap: { name: file.configMap } }),
  },
  mount: { name: `files-${index}`, mountPath: file.mountPath, readOnly: true },
});

function storageVolume(name: string, { storage }: MicroserviceSpec): readonly Volume[] {
  if (!storage) return [];
  return [
    {
      source: { name: 'storage', persistentVolumeClaim: { claimName: storage.claimName ?? claimName(name) } },
      mount: { name: 'storage', mountPath: storage.mountPath },
    },
  ];
}
