import type { Autoscaling, AutoscalingMetric, Microservice } from '../api/microservice.ts';
import { type Manifest, pruned } from './manifest.ts';
import { childMeta, versionChildName, versionLabels } from './names.ts';
import type { Version } from './version.ts';

const DEFAULT_METRICS: readonly AutoscalingMetric[] = [{ type: 'CPU', averageUtilization: 80 }];

export function horizontalPodAutoscaler(microservice: Microservice, version: Version, autoscaling: Autoscaling): Manifest {
  const { name } = microservice.metadata;
  const childName = versionChildName(name, version.name);
  return pruned({
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: childMeta(microservice, childName, versionLabels(name, version.name)),
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: childName },
      minReplicas: autoscaling.minReplicas ?? 1,
      maxReplicas: autoscaling.maxReplicas,
      metrics: (autoscaling.metrics?.length ? autoscaling.metrics : DEFAULT_METRICS).map(resourceMetric),
      behavior: autoscaling.behavior,
    },
  });
}

const resourceMetric = (metric: AutoscalingMetric): object => ({
  type: 'Resource',
  resource: {
    name: metric.type === 'CPU' ? 'cpu' : 'memory',
    target:
      metric.averageValue === undefined
        ? { type: 'Utilization', averageUtilization: metric.averageUtilization }
        : { type: 'AverageValue', averageValue: metric.averageValue },
  },
});
