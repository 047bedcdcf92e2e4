import type { MicroserviceSpec, MicroserviceStatus } from '../../generated/microservice.ts';
import type { KubernetesObject } from './kubernetes-object.ts';

/** Everything below spec and status, generated from crds/ with its documentation: `npm run generate`. */
export type * from '../../generated/microservice.ts';

export interface Microservice extends KubernetesObject {
  readonly spec: MicroserviceSpec;
  readonly status?: MicroserviceStatus;
}
