import type { Microservice } from '../api/microservice.ts';
import type { Manifest } from './manifest.ts';
import { childMeta, versionChildName, versionLabels, versionSelector } from './names.ts';
import type { Version } from './version.ts';

/** With a single pod a budget would only block the draining of its node. */
export const needsDisruptionBudget = (version: Version): boolean => (version.autoscaling ? (version.autoscaling.minReplicas ?? 1) : version.replicas) >= 2;

export function podDisruptionBudget(microservice: Microservice, version: Version): Manifest {
  const { name } = microservice.metadata;
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: childMeta(microservice, versionChildName(name, version.name), versionLabels(name, version.name)),
    spec: {
      maxUnavailable: 1,
      selector: { matchLabels: versionSelector(name, version.name) },
      // A pod that is not Ready serves nobody; it must not hold up a node drain.
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    },
  };
}
