import type { Microservice } from '../api/microservice.ts';
import type { Manifest } from './manifest.ts';
import { versionChildName } from './names.ts';
import type { Deployment } from './observed.ts';
import type { Version } from './version.ts';

/**
 * The number of pods to apply now, or undefined to stay silent.
 * With autoscaling the number is given at creation and never withdrawn, so the autoscaler takes over without a dip. Later it is only
 * ever raised to the minimum: the autoscaler does not start from 0, and a crash may have come between Deployment and number.
 */
export function replicas(version: Version, live: Deployment | undefined): number | undefined {
  if (!version.autoscaling) return version.replicas;
  const { minReplicas = 1 } = version.autoscaling;
  return live === undefined || (live.spec.replicas ?? 1) < minReplicas ? minReplicas : undefined;
}

/** Applied by the field manager for replicas alone, so that the main manager never owns the field. */
export const replicasManifest = (microservice: Microservice, version: Version, count: number): Manifest => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: versionChildName(microservice.metadata.name, version.name), namespace: microservice.metadata.namespace ?? 'default' },
  spec: { replicas: count },
});
