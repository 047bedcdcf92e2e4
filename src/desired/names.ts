/** Names, labels and annotations: the vocabulary that ties children to their Microservice. */
import type { ObjectMeta, OwnerReference } from '../api/kubernetes-object.ts';
import type { Microservice } from '../api/microservice.ts';

export const GROUP = 'microservice-operator.io';
export const API_VERSION = `${GROUP}/v1alpha1`;
export const OPERATOR = 'microservice-operator';

export const LABEL = {
  name: 'app.kubernetes.io/name',
  managedBy: 'app.kubernetes.io/managed-by',
  component: `${GROUP}/component`,
  microservice: `${GROUP}/microservice`,
  version: `${GROUP}/version`,
} as const;

export const ANNOTATION = {
  /** Hash of the manifest as last applied: a field that we stop sending changes it, though the live object still looks right. */
  appliedHash: `${GROUP}/applied-hash`,
  configHash: `${GROUP}/config-hash`,
  restartedAt: `${GROUP}/restarted-at`,
} as const;

/** Server-side apply keeps what each of these owns apart (KEP-555). */
export const FIELD_MANAGER = { main: OPERATOR, replicas: `${OPERATOR}-replicas`, status: `${OPERATOR}-status` } as const;

export const FLEET = 'microservice-fleet';

/** The version that a single `image` or `bundled` stands for. */
export const SINGLE_VERSION = 'main';

export const versionChildName = (microservice: string, version: string): string => `${microservice}--${version}`;

export const claimName = (microservice: string): string => `${microservice}-storage`;

export const microserviceLabels = (microservice: string): Record<string, string> => ({
  [LABEL.name]: microservice,
  [LABEL.managedBy]: OPERATOR,
  [LABEL.microservice]: microservice,
});

export const versionLabels = (microservice: string, version: string): Record<string, string> => ({
  ...microserviceLabels(microservice),
  [LABEL.version]: version,
});

/** Immutable on a Deployment, so it holds nothing that could ever change. */
export const versionSelector = (microservice: string, version: string): Record<string, string> => ({
  [LABEL.microservice]: microservice,
  [LABEL.version]: version,
});

export const fleetLabels: Readonly<Record<string, string>> = {
  [LABEL.name]: FLEET,
  [LABEL.managedBy]: OPERATOR,
  [LABEL.component]: 'fleet',
};

const ownerReference = (owner: Microservice): OwnerReference => ({
  apiVersion: API_VERSION,
  kind: 'Microservice',
  name: owner.metadata.name,
  uid: owner.metadata.uid ?? '',
  controller: true,
});

export const childMeta = (owner: Microservice, name: string, labels: Readonly<Record<string, string>>): ObjectMeta => ({
  name,
  namespace: owner.metadata.namespace ?? 'default',
  labels,
  ownerReferences: [ownerReference(owner)],
});
