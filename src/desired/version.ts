import type { Autoscaling, Bundled, EnvVar, Microservice, MicroserviceSpec, PortSpec, Protocol, ResourceRequirements, VersionSpec } from '../api/microservice.ts';
import { SINGLE_VERSION } from './names.ts';
import type { Settings } from './settings.ts';

/** One version with every default of the Microservice merged in. */
export interface Version {
  readonly name: string;
  readonly image: string;
  readonly bundled: Bundled | undefined;
  /** Relative; only the ratio to the other versions counts. */
  readonly weight: number;
  readonly replicas: number;
  readonly autoscaling: Autoscaling | undefined;
  readonly env: readonly EnvVar[];
  readonly resources: ResourceRequirements;
}

export interface Port {
  readonly name: string;
  readonly port: number;
  readonly targetPort: number;
  readonly protocol: Protocol;
}

const DEFAULT_RESOURCES: ResourceRequirements = { requests: { cpu: '50m', memory: '64Mi' } };

const BUNDLED_PORT: Readonly<Record<Bundled, Port>> = {
  'hello-http': { name: 'http', port: 80, targetPort: 8080, protocol: 'HTTP' },
  'hello-grpc': { name: 'grpc', port: 50051, targetPort: 50051, protocol: 'GRPC' },
  register: { name: 'http', port: 80, targetPort: 8080, protocol: 'HTTP' },
};

export function versions(microservice: Microservice, settings: Pick<Settings, 'imagePrefix' | 'imageTag'>): readonly Version[] {
  const { spec } = microservice;
  return versionSpecs(spec).map((version) => ({
    name: version.name,
    image: version.bundled ? `${settings.imagePrefix}/${version.bundled}:${settings.imageTag}` : (version.image ?? ''),
    bundled: version.bundled,
    weight: version.weight ?? 1,
    replicas: version.replicas ?? spec.replicas ?? 1,
    autoscaling: autoscaling(spec, version),
    env: mergedEnv(spec.env ?? [], version.env ?? []),
    resources: version.resources ?? spec.resources ?? DEFAULT_RESOURCES,
  }));
}

/** The ports as given, or the one that the first bundled service listens on. None is legal: a worker without a Service. */
export function ports(spec: MicroserviceSpec): readonly Port[] {
  if (spec.ports?.length) return spec.ports.map(completePort);
  const bundled = versionSpecs(spec)[0]?.bundled;
  return bundled ? [BUNDLED_PORT[bundled]] : [];
}

export const provider = (spec: MicroserviceSpec): 'Envoy' | 'Service' => spec.traffic?.provider ?? 'Envoy';

/** A worker without ports has no traffic, whoever provides it. */
export const usesProxies = (spec: MicroserviceSpec): boolean => provider(spec) === 'Envoy' && ports(spec).length > 0;

function versionSpecs(spec: MicroserviceSpec): readonly VersionSpec[] {
  if (spec.versions?.length) return spec.versions;
  if (spec.bundled) return [{ name: SINGLE_VERSION, bundled: spec.bundled }];
  return [{ name: SINGLE_VERSION, image: spec.image ?? '' }];
}

/** A version's own replicas end the inherited autoscaling: the nearer word wins. */
function autoscaling(spec: MicroserviceSpec, version: VersionSpec): Autoscaling | undefined {
  if (version.autoscaling) return version.autoscaling;
  return version.replicas === undefined ? spec.autoscaling : undefined;
}

function mergedEnv(defaults: readonly EnvVar[], overrides: readonly EnvVar[]): readonly EnvVar[] {
  const overridden = new Set(overrides.map((variable) => variable.name));
  return [...defaults.filter((variable) => !overridden.has(variable.name)), ...overrides];
}

const completePort = (port: PortSpec): Port => ({
  name: port.name,
  port: port.port,
  targetPort: port.targetPort ?? port.port,
  protocol: port.protocol ?? 'HTTP',
});
