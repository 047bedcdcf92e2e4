import type { Microservice, Storage } from '../api/microservice.ts';
import { type Manifest, pruned } from './manifest.ts';
import { claimName, microserviceLabels } from './names.ts';

/** Without an owner reference: the claim outlives the Microservice, and one of the same name finds its data again. */
export const persistentVolumeClaim = (microservice: Microservice, storage: Storage): Manifest =>
  pruned({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name: claimName(microservice.metadata.name),
      namespace: microservice.metadata.namespace ?? 'default',
      labels: microserviceLabels(microservice.metadata.name),
    },
    spec: {
      accessModes: ['ReadWriteOnce'],
      storageClassName: storage.storageClassName,
      resources: { requests: { storage: storage.size } },
    },
  });
