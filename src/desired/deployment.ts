import type { Microservice } from '../api/microservice.ts';
import { type Manifest, pruned } from './manifest.ts';
import { childMeta, versionChildName, versionLabels, versionSelector } from './names.ts';
import { podTemplate } from './pod-template.ts';
import type { Port, Version } from './version.ts';

/** Without `replicas`: those belong to a field manager of their own (replicas.ts). */
export function deployment(microservice: Microservice, version: Version, ports: readonly Port[], configHash: string | undefined): Manifest {
  const { name } = microservice.metadata;
  return pruned({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: childMeta(microservice, versionChildName(name, version.name), versionLabels(name, version.name)),
    spec: {
      revisionHistoryLimit: 3,
      selector: { matchLabels: versionSelector(name, version.name) },
      strategy: strategy(microservice),
      template: podTemplate(microservice, version, ports, configHash),
    },
  });
}

/** A volume of one writer cannot be held by the old and the new pod at once. */
const strategy = (microservice: Microservice): object =>
  microservice.spec.storage ? { type: 'Recreate' } : { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: '25%' } };
