/** The live copies of everything that a pass looks at, shared by the reconcilers and the traffic plane. */
import { createHash } from 'node:crypto';
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import type { Microservice } from '../api/microservice.ts';
import { LABEL, OPERATOR } from '../desired/names.ts';
import type { Pod, Service } from '../desired/observed.ts';
import type { EndpointSlice } from '../traffic/endpoint.ts';
import { Informer, waitForSync, withoutManagedFields, type InformerOptions } from './informer.ts';
import type { ReflectorObserver } from './reflector.ts';
import { resourceKinds, type ResourceKind } from './resource-kind.ts';
import type { Transport } from './transport.ts';

/** A ConfigMap of which only the hash of its content is kept. */
export interface HashedConfigMap extends KubernetesObject {
  readonly contentHash: string;
}

export interface CachesOptions {
  readonly transport: Transport;
  readonly onHandlerError: (error: unknown) => void;
  /** A list or watch failed; the reflector goes on by itself. */
  readonly onWatchError: (error: unknown, plural: string) => void;
}

/** "<namespace>/<name>", the value under which children are found by the Microservice that their label names. */
export const microserviceOf = ({ metadata }: KubernetesObject): string | undefined => {
  const name = metadata.labels?.[LABEL.microservice];
  return name === undefined ? undefined : `${metadata.namespace}/${name}`;
};

const SERVICE_NAME = 'kubernetes.io/service-name';
const OURS = `${LABEL.managedBy}=${OPERATOR}`;

export class Caches {
  readonly microservices: Informer<Microservice>;
  /** Deployments, autoscalers, budgets, ServiceAccounts and claims. */
  readonly children: readonly Informer<KubernetesObject>[];
  readonly services: Informer<Service>;
  readonly pods: Informer<Pod>;
  readonly endpointSlices: Informer<EndpointSlice>;
  readonly configMaps: Informer<HashedConfigMap>;

  constructor(options: CachesOptions) {
    const owned = <T extends KubernetesObject>(kind: ResourceKind, more: Partial<InformerOptions<T>> = {}): Informer<T> =>
      new Informer<T>({ ...options, ...more, observer: failureObserver(options, kind), kind, labelSelector: OURS, indexes: { microservice: byMicroservice, ...more.indexes } });
    this.microservices = new Informer<Microservice>({ ...options, observer: failureObserver(options, resourceKinds.microservice), kind: resourceKinds.microservice });
    this.children = [resourceKinds.deployment, resourceKinds.horizontalPodAutoscaler, resourceKinds.podDisruptionBudget, resourceKinds.serviceAccount, resourceKinds.persistentVolumeClaim].map(
      (kind) => owned(kind),
    );
    this.services = owned<Service>(resourceKinds.service);
    this.pods = owned<Pod>(resourceKinds.pod, { transform: leanPod, indexes: { component: byComponent, leaving: whenLeaving } });
    this.endpointSlices = owned<EndpointSlice>(resourceKinds.endpointSlice, { indexes: { service: byService } });
    this.configMaps = new Informer<HashedConfigMap>({ ...options, observer: failureObserver(options, resourceKinds.configMap), kind: resourceKinds.configMap, transform: hashed });
  }

  get informers(): readonly Informer<never>[] {
    return [this.microservices, ...this.children, this.services, this.pods, this.endpointSlices, this.configMaps] as unknown as readonly Informer<never>[];
  }

  /** Resolves when all have synced; rejects with those that have not after 2 minutes. */
  async start(signal: AbortSignal): Promise<void> {
    for (const informer of this.informers) void informer.start(signal);
    await waitForSync(this.informers, { signal });
  }

  /** Every child, claims included, whose label names the Microservice. */
  childrenOf(namespace: string, name: string): readonly KubernetesObject[] {
    const key = `${namespace}/${name}`;
    return [...this.children, this.services].flatMap((informer) => informer.byIndex('microservice', key) as readonly KubernetesObject[]);
  }

  slicesOf(namespace: string, service: string): readonly EndpointSlice[] {
    return this.endpointSlices.byIndex('service', `${namespace}/${service}`);
  }

  /** The proxies of a namespace. */
  fleetPods(namespace: string): readonly Pod[] {
    return this.pods.byIndex('component', `${namespace}/fleet`);
  }

  /** In words, what keeps the caches from being up to date. */
  get problems(): readonly string[] {
    return this.informers.flatMap((informer) => (informer.problem === undefined ? [] : [`${informer.kind.plural}: ${informer.problem}`]));
  }
}

const failureObserver = ({ onWatchError }: CachesOptions, { plural }: ResourceKind): ReflectorObserver => ({
  listed: () => {},
  watched: () => {},
  event: () => {},
  failed: (error) => onWatchError(error, plural),
});

const byMicroservice = (object: KubernetesObject): readonly string[] => {
  const key = microserviceOf(object);
  return key === undefined ? [] : [key];
};

const byComponent = ({ metadata }: KubernetesObject): readonly string[] => {
  const component = metadata.labels?.[LABEL.component];
  return component === undefined ? [] : [`${metadata.namespace}/${component}`];
};

const whenLeaving = ({ metadata }: KubernetesObject): readonly string[] => (metadata.deletionTimestamp ? [metadata.labels?.[LABEL.component] ?? ''] : []);

const byService = ({ metadata }: KubernetesObject): readonly string[] => {
  const service = metadata.labels?.[SERVICE_NAME];
  return service === undefined ? [] : [`${metadata.namespace}/${service}`];
};

export const serviceOfSlice = ({ metadata }: KubernetesObject): string | undefined => metadata.labels?.[SERVICE_NAME];

/** The spec of a pod is most of its size, and nobody here reads it. */
function leanPod(pod: Pod): Pod {
  const { apiVersion, kind, metadata, status } = withoutManagedFields(pod);
  return { apiVersion, kind, metadata, ...(status === undefined ? {} : { status }) };
}

/** ConfigMaps can be large and are everybody's; what is kept tells only whether one has changed. */
function hashed(object: HashedConfigMap): HashedConfigMap {
  const { apiVersion, kind, metadata, data, binaryData } = object as HashedConfigMap & { readonly data?: object; readonly binaryData?: object };
  const { name, namespace, uid, resourceVersion } = metadata;
  const content = JSON.stringify([sorted(data), sorted(binaryData)]);
  return {
    apiVersion,
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), ...(uid === undefined ? {} : { uid }), ...(resourceVersion === undefined ? {} : { resourceVersion }) },
    contentHash: createHash('sha256').update(content).digest('hex').slice(0, 16),
  };
}

const sorted = (data: object = {}): readonly (readonly [string, unknown])[] => Object.entries(data).toSorted(([a], [b]) => (a < b ? -1 : 1));
