import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import type { ApiClient } from './api-client.ts';
import { followObjects } from './follow-objects.ts';
import type { LabFolder } from './lab-folder.ts';
import { nodeName } from './node-daemons.ts';

export const provisioner = 'lab.microservice-operator.io/directory';
const provisionedBy = 'pv.kubernetes.io/provisioned-by';

interface Claim {
  readonly metadata: { readonly namespace: string; readonly name: string; readonly uid: string };
  readonly spec: { readonly storageClassName?: string; readonly volumeName?: string; readonly accessModes: readonly string[]; readonly resources: { readonly requests: object } };
}

interface Volume {
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly status: { readonly phase?: string };
}

/** Plays the provisioner of the class `standard`: a claim becomes a directory that anybody can write, and the directory goes with the claim. */
export async function provisionVolumes(client: ApiClient, folder: LabFolder): Promise<never> {
  const claims = followObjects<Claim>(client, '/api/v1/persistentvolumeclaims', async ({ type, object }) => {
    if (type === 'DELETED' || object.spec.storageClassName !== 'standard' || object.spec.volumeName !== undefined) return;
    const directory = folder.file(`volumes/pvc-${object.metadata.uid}`);
    mkdirSync(directory, { recursive: true });
    chmodSync(directory, 0o777);
    const { status, body } = await client.call({ method: 'POST', path: '/api/v1/persistentvolumes', body: persistentVolume(object, directory) });
    if (status !== 201 && status !== 409) throw new Error(`a volume for ${object.metadata.namespace}/${object.metadata.name}: HTTP ${status} ${body}`);
  });
  const volumes = followObjects<Volume>(client, '/api/v1/persistentvolumes', async ({ type, object }) => {
    const { name, annotations } = object.metadata;
    if (type === 'DELETED' || object.status.phase !== 'Released' || annotations?.[provisionedBy] !== provisioner) return;
    rmSync(folder.file(`volumes/${name}`), { recursive: true, force: true });
    await client.call({ method: 'DELETE', path: `/api/v1/persistentvolumes/${name}` });
  });
  return Promise.race([claims, volumes]);
}

function persistentVolume(claim: Claim, path: string): object {
  const { namespace, name, uid } = claim.metadata;
  return {
    metadata: { name: `pvc-${uid}`, annotations: { [provisionedBy]: provisioner } },
    spec: {
      storageClassName: 'standard',
      capacity: claim.spec.resources.requests,
      accessModes: claim.spec.accessModes,
      persistentVolumeReclaimPolicy: 'Delete',
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid },
      local: { path },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [nodeName] }] }] } },
    },
  };
}
