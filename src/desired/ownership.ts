import type { KubernetesObject } from '../api/kubernetes-object.ts';
import type { Microservice } from '../api/microservice.ts';
import { ANNOTATION, claimName, FLEET, fleetLabels, GROUP, LABEL, OPERATOR } from './names.ts';
import type { Service } from './observed.ts';

export type Ownership =
  | 'ours'
  /** The child of a deleted Microservice of this name; garbage collection is about to remove it. */
  | 'predecessor'
  | 'stranger';

/** Proof of ownership is the controller reference with the owner's uid, or, where it was taken away, our own record of that uid. Labels can be typed by anybody. */
export function ownership(object: KubernetesObject, microservice: Microservice): Ownership {
  if (object.kind === 'PersistentVolumeClaim') return ownsClaim(object, microservice) ? 'ours' : 'stranger';
  const controller = object.metadata.ownerReferences?.find((reference) => reference.controller === true);
  if ((controller?.uid ?? recordedOwner(object)) === microservice.metadata.uid) return 'ours';
  const isPredecessor = controller?.kind === 'Microservice' && groupOf(controller.apiVersion) === GROUP && controller.name === microservice.metadata.name;
  return isPredecessor ? 'predecessor' : 'stranger';
}

/** What deleting takes: a copy of a child carries our record, but not the reference. */
export const isControlledBy = (object: KubernetesObject, microservice: Microservice): boolean =>
  object.metadata.ownerReferences?.some(({ controller, uid }) => controller === true && uid === microservice.metadata.uid) ?? false;

const stampOf = ({ metadata }: KubernetesObject): string | undefined => metadata.annotations?.[ANNOTATION.appliedHash];

const recordedOwner = (object: KubernetesObject): string | undefined => stampOf(object)?.split('/')[0];

/** A claim has no owner reference, since it outlives its Microservice, so its name has to do, with its labels or, where they were taken away, our stamp. */
const ownsClaim = (claim: KubernetesObject, microservice: Microservice): boolean =>
  claim.metadata.name === claimName(microservice.metadata.name) &&
  (stampOf(claim) !== undefined || (claim.metadata.labels?.[LABEL.managedBy] === OPERATOR && claim.metadata.labels[LABEL.microservice] === microservice.metadata.name));

/** As with a claim: nobody owns it. */
export const isFleetObject = (object: KubernetesObject): boolean =>
  object.metadata.name === FLEET && (stampOf(object) !== undefined || (object.metadata.labels?.[LABEL.managedBy] === OPERATOR && object.metadata.labels[LABEL.component] === 'fleet'));

/** Whether the Service sends its connections to the proxies. */
export const isFleetSelector = (service: Service): boolean => service.spec.selector?.[LABEL.component] === fleetLabels[LABEL.component];

const groupOf = (apiVersion: string): string => apiVersion.split('/')[0] ?? '';

