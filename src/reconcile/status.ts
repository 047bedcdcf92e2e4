/** The status of one Microservice, computed from what the API server returned and the proxies said. */
import type { MicroserviceStatus, VersionStatus } from '../api/microservice.ts';
import { LABEL } from '../desired/names.ts';
import { deploymentOf, userServiceOf, type Observed } from '../desired/observed.ts';
import { type Port, ports, type Version } from '../desired/version.ts';
import { conditions } from './conditions.ts';
import type { StatusInput } from './status-input.ts';
import { weightStatus } from './weight-status.ts';

export function status(input: StatusInput): MicroserviceStatus {
  const { observed, versions } = input;
  const { microservice } = observed;
  const versionStatuses = versions.map((version) => versionStatus(version, input));
  const url = serviceUrl(observed);
  return {
    observedGeneration: microservice.metadata.generation ?? 0,
    conditions: conditions(input, versionStatuses),
    versions: versionStatuses,
    blockers: input.blockers,
    replicas: sum(versionStatuses.map((version) => version.replicas)),
    readyReplicas: sum(versionStatuses.map((version) => version.readyReplicas)),
    selector: `${LABEL.microservice}=${microservice.metadata.name}`,
    ...(url === undefined ? {} : { url }),
    ...(ports(microservice.spec).length === 0 ? {} : { traffic: trafficColumn(versionStatuses) }),
  };
}

const trafficColumn = (versions: readonly VersionStatus[]): string => versions.map((version) => `${version.name} ${version.weight?.applied ?? 0}`).join(', ');

function versionStatus(version: Version, input: StatusInput): VersionStatus {
  const { observed } = input;
  const live = deploymentOf(observed, version.name);
  const revision = live?.metadata.annotations?.['deployment.kubernetes.io/revision'];
  const weight = weightStatus(version, observed, input.versions);
  return {
    name: version.name,
    image: version.image,
    replicas: live?.status?.replicas ?? 0,
    readyReplicas: live?.status?.readyReplicas ?? 0,
    ...(revision === undefined ? {} : { revision }),
    ...(weight === undefined ? {} : { weight }),
  };
}

function serviceUrl(observed: Observed): string | undefined {
  const { microservice } = observed;
  const port = ports(microservice.spec)[0];
  const service = userServiceOf(observed);
  if (!port || !service) return undefined;
  const ingress = service.status?.loadBalancer?.ingress?.[0];
  const host = ingress?.ip ?? ingress?.hostname ?? `${microservice.metadata.name}.${microservice.metadata.namespace}.svc`;
  return `${SCHEME[port.protocol]}://${host}${port.protocol === 'HTTP' && port.port === 80 ? '' : `:${port.port}`}`;
}

const SCHEME: Readonly<Record<Port['protocol'], string>> = { HTTP: 'http', GRPC: 'grpc', TCP: 'tcp' };

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

/** Whether writing `next` would tell a reader anything new. */
export const isSameStatus = (before: MicroserviceStatus | undefined, next: MicroserviceStatus): boolean => canonical(before) === canonical(next);

/** Without empty lists, which the API server may or may not keep, and in the order of the keys. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) => {
    if (Array.isArray(inner)) return inner.length === 0 ? undefined : inner;
    if (typeof inner !== 'object' || inner === null) return inner;
    return Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  });
