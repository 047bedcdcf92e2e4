import { readFileSync } from 'node:fs';
import { createApiClient, type ApiClient } from '../lab/api-client.ts';
import type { KubernetesObject } from '../src/api/kubernetes-object.ts';
import { collectionPath, objectPath, resourceKindOf, type ObjectRef, type ResourceKind } from '../src/cluster/resource-kind.ts';

/** A user of the cluster who is not the operator: plain requests to the API server, without caches. */
export class ClusterClient {
  readonly #api: ApiClient;

  /** `kubeconfigPath`: as the lab writes it, in JSON and with a token. */
  constructor(kubeconfigPath: string) {
    const { clusters, users } = JSON.parse(readFileSync(kubeconfigPath, 'utf8'));
    const { server, 'certificate-authority-data': ca } = clusters[0].cluster;
    this.#api = createApiClient({ server, caPem: Buffer.from(ca, 'base64').toString(), token: users[0].user.token });
  }

  async create<T extends KubernetesObject>(object: T): Promise<T> {
    return this.#api.json<T>({ method: 'POST', path: collectionPath(resourceKindOf(object), object.metadata.namespace), body: object });
  }

  /** Undefined if there is none. */
  async find<T extends KubernetesObject>(kind: ResourceKind, ref: ObjectRef): Promise<T | undefined> {
    const path = objectPath(kind, ref);
    const { status, body } = await this.#api.call({ path });
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`GET ${path}: HTTP ${status} ${body}`);
    const found: T = JSON.parse(body);
    return found;
  }

  /** Throws if there is none. */
  async get<T extends KubernetesObject>(kind: ResourceKind, ref: ObjectRef): Promise<T> {
    const found = await this.find<T>(kind, ref);
    if (!found) throw new Error(`${kind.kind} ${ref.namespace}/${ref.name} does not exist`);
    return found;
  }

  /** With apiVersion and kind filled in, which the items of a list lack. */
  async list<T extends KubernetesObject>(kind: ResourceKind, namespace?: string, labelSelector = ''): Promise<readonly T[]> {
    const { items } = await this.#api.json<{ items: T[] }>({ path: `${collectionPath(kind, namespace)}?labelSelector=${encodeURIComponent(labelSelector)}` });
    return items.map((item) => ({ ...item, apiVersion: kind.apiVersion, kind: kind.kind }));
  }

  /** JSON merge patch. */
  async patch(kind: ResourceKind, ref: ObjectRef, patch: object, subresource?: 'status'): Promise<void> {
    await this.#api.json({ method: 'PATCH', path: objectPath(kind, ref, subresource), body: patch });
  }

  /** What it owns goes after it. */
  async remove(kind: ResourceKind, ref: ObjectRef, { gracePeriodSeconds }: { readonly gracePeriodSeconds?: number } = {}): Promise<void> {
    const grace = gracePeriodSeconds === undefined ? '' : `&gracePeriodSeconds=${gracePeriodSeconds}`;
    await this.#api.json({ method: 'DELETE', path: `${objectPath(kind, ref)}?propagationPolicy=Background${grace}` });
  }

  async post(path: string, body: object): Promise<void> {
    await this.#api.json({ method: 'POST', path, body });
  }

  /** Hands over every object and every later change as the line of a watch, {type, object} in JSON; resolves when the server ends it. */
  async follow(kind: ResourceKind, see: (line: string) => void, namespace?: string): Promise<void> {
    await this.#api.watch(`${collectionPath(kind, namespace)}?watch=1`, see);
  }

  /** Breaks off what is in flight. */
  close(): void {
    this.#api.close();
  }
}
