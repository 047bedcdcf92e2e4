import type { Microservice } from '../api/microservice.ts';
import type { Manifest } from './manifest.ts';
import { childMeta, microserviceLabels } from './names.ts';

export const serviceAccount = (microservice: Microservice): Manifest => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: childMeta(microservice, microservice.metadata.name, microserviceLabels(microservice.metadata.name)),
  automountServiceAccountToken: false,
});
