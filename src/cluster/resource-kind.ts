import type { KubernetesObject } from '../api/kubernetes-object.ts';

/** What a path to the API server needs to know of a kind. */
export interface ResourceKind {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

export interface ObjectRef {
  readonly namespace?: string | undefined;
  readonly name: string;
}

const namespaced = (apiVersion: string, kind: string, plural: string): ResourceKind => ({ apiVersion, kind, plural, namespaced: true });
const clusterWide = (apiVersion: string, kind: string, plural: string): ResourceKind => ({ apiVersion, kind, plural, namespaced: false });

/** Every kind that the operator reads or writes; all of these versions are served by Kubernetes 1.31 to 1.36. */
export const resourceKinds = {
  microservice: namespaced('microservice-operator.io/v1alpha1', 'Microservice', 'microservices'),
  deployment: namespaced('apps/v1', 'Deployment', 'deployments'),
  horizontalPodAutoscaler: namespaced('autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers'),
  podDisruptionBudget: namespaced('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets'),
  endpointSlice: namespaced('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices'),
  lease: namespaced('coordination.k8s.io/v1', 'Lease', 'leases'),
  event: namespaced('events.k8s.io/v1', 'Event', 'events'),
  service: namespaced('v1', 'Service', 'services'),
  serviceAccount: namespaced('v1', 'ServiceAccount', 'serviceaccounts'),
  persistentVolumeClaim: namespaced('v1', 'PersistentVolumeClaim', 'persistentvolumeclaims'),
  configMap: namespaced('v1', 'ConfigMap', 'configmaps'),
  secret: namespaced('v1', 'Secret', 'secrets'),
  pod: namespaced('v1', 'Pod', 'pods'),
  namespace: clusterWide('v1', 'Namespace', 'namespaces'),
  node: clusterWide('v1', 'Node', 'nodes'),
} as const satisfies Readonly<Record<string, ResourceKind>>;

const byName = new Map<string, ResourceKind>(Object.values(resourceKinds).map((kind) => [`${kind.apiVersion}/${kind.kind}`, kind]));

export function resourceKindOf({ apiVersion, kind }: Pick<KubernetesObject, 'apiVersion' | 'kind'>): ResourceKind {
  const found = byName.get(`${apiVersion}/${kind}`);
  if (!found) throw new Error(`${apiVersion} ${kind} is not in the table of kinds (resource-kind.ts)`);
  return found;
}

/** `deployments.apps`, as kubectl and RBAC messages write it. */
export function resourceName({ apiVersion, plural }: ResourceKind): string {
  return apiVersion.includes('/') ? `${plural}.${apiVersion.slice(0, apiVersion.indexOf('/'))}` : plural;
}

/** The path of all objects of a kind, in one namespace or in all. */
export function collectionPath({ apiVersion, plural, namespaced: inNamespace }: ResourceKind, namespace?: string): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return inNamespace && namespace ? `${root}/namespaces/${encodeURIComponent(namespace)}/${plural}` : `${root}/${plural}`;
}

export function objectPath(kind: ResourceKind, { namespace, name }: ObjectRef, subresource?: 'status'): string {
  // An empty segment would address the whole collection.
  if (!name) throw new Error(`${kind.kind}: metadata.name is missing`);
  if (kind.namespaced && !namespace) throw new Error(`${kind.kind} ${name}: metadata.namespace is missing`);
  const path = `${collectionPath(kind, namespace)}/${encodeURIComponent(name)}`;
  return subresource ? `${path}/${subresource}` : path;
}

/** The key of an object in queues and caches: `namespace/name`, or `name` where there is no namespace. */
export const keyOf = ({ namespace, name }: ObjectRef): string => (namespace ? `${namespace}/${name}` : name);
