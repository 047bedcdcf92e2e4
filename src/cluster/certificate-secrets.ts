/** The operator's only two Secrets: its certificate authority, and the certificate of each fleet. */
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import { FLEET_SECRET } from '../desired/fleet.ts';
import { FIELD_MANAGER, fleetLabels, LABEL, OPERATOR } from '../desired/names.ts';
import { isConflict, NotOursError } from './api-error.ts';
import type { Client } from './client.ts';
import { resourceKinds } from './resource-kind.ts';

const AUTHORITY_SECRET = 'microservice-operator-ca';

/** Both PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly privateKey: string;
}

interface Secret extends KubernetesObject {
  readonly type?: string;
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>;
}

/** The authority that is stored; else the one that `create` makes, unless another replica was faster. */
export async function readOrCreateAuthority(client: Client, { namespace, identity, create }: { readonly namespace: string; readonly identity: string; readonly create: () => Promise<KeyPair> }): Promise<KeyPair> {
  const stored = await client.get<Secret>(resourceKinds.secret, { namespace, name: AUTHORITY_SECRET });
  if (stored) return keyPair(stored);
  const made = await create();
  const labels = { [LABEL.managedBy]: OPERATOR };
  const secret: Secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: AUTHORITY_SECRET, namespace, labels }, type: 'kubernetes.io/tls', data: encoded(made) };
  try {
    // Apply rather than create, because only a request that names the object can be allowed by its name; with a field manager for each
    // process and without force, so that the first writer wins and a second one is told of the conflict.
    await client.apply(secret, { fieldManager: identity.slice(0, 128), force: false });
    return made;
  } catch (error) {
    if (!isConflict(error)) throw error;
    return readOrCreateAuthority(client, { namespace, identity, create });
  }
}

export async function readFleetCertificate(client: Client, namespace: string): Promise<KeyPair | undefined> {
  const secret = await client.get<Secret>(resourceKinds.secret, { namespace, name: FLEET_SECRET });
  if (!secret) return undefined;
  if (secret.metadata.labels?.[LABEL.managedBy] !== OPERATOR) throw new NotOursError(`Secret ${namespace}/${FLEET_SECRET} is not ours: rename or delete it, the Envoy fleet needs the name`);
  return keyPair(secret);
}

/** `files` by name, as the proxies mount them; `tls.crt` and `tls.key` among them. */
export async function writeFleetCertificate(client: Client, namespace: string, files: Readonly<Record<string, string>>): Promise<void> {
  const data = Object.fromEntries(Object.entries(files).map(([name, content]) => [name, base64(content)]));
  const secret: Secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: FLEET_SECRET, namespace, labels: fleetLabels }, type: 'kubernetes.io/tls', data };
  await client.apply(secret, { fieldManager: FIELD_MANAGER.main, force: true });
}

export async function removeFleetCertificate(client: Client, namespace: string): Promise<void> {
  const secret = await client.get<Secret>(resourceKinds.secret, { namespace, name: FLEET_SECRET });
  if (secret?.metadata.labels?.[LABEL.managedBy] === OPERATOR) await client.remove(secret);
}

function keyPair({ metadata, data }: Secret): KeyPair {
  const certificate = data?.['tls.crt'];
  const privateKey = data?.['tls.key'];
  if (!certificate || !privateKey) throw new Error(`Secret ${metadata.namespace}/${metadata.name} lacks tls.crt or tls.key: delete it, and a new one is made`);
  return { certificate: Buffer.from(certificate, 'base64').toString(), privateKey: Buffer.from(privateKey, 'base64').toString() };
}

const encoded = ({ certificate, privateKey }: KeyPair): Record<string, string> => ({ 'tls.crt': base64(certificate), 'tls.key': base64(privateKey) });

const base64 = (text: string): string => Buffer.from(text).toString('base64');
