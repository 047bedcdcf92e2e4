import type { KubernetesObject } from '../api/kubernetes-object.ts';
import type { Microservice } from '../api/microservice.ts';
import type { Manifest } from './manifest.ts';
import { versionChildName } from './names.ts';
import type { Version } from './version.ts';

/**
 * The number of pods to apply now, or undefined to stay silent.
 * With autoscaling the number is given once, at creation, and never withdrawn, so the autoscaler takes over without a dip.
 */
export function replicas(version: Version, live: KubernetesObject | undefined): number | undefined {
  if (!version.autoscaling) return version.replicas;
  return live === undefined ? (version.autoscaling.minReplicas ?? 1) : undefined;
}

/** Applied by the field manager for replicas alone, so that the main manager never owns the field. */
export const replicasManifest = (microservice: Microservice, version: Version, count: number): Manifest => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: versionChildName(microservice.metadata.name, version.name), namespace: microservice.metadata.namespace ?? 'default' },
  spec: { replicas: count },
});
