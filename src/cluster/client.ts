import type { KubernetesObject } from '../api/kubernetes-object.ts';
import { ApiError, isNotFound, isUidMismatch } from './api-error.ts';
import { listPages, type ObjectList } from './list-pages.ts';
import { collectionPath, objectPath, resourceKindOf, type ObjectRef, type ResourceKind } from './resource-kind.ts';
import type { ApiRequest, Transport } from './transport.ts';

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
}

export interface ListOptions extends CallOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface ApplyOptions extends CallOptions {
  /** Constant per purpose, at most 128 characters: it owns the fields that are sent. */
  readonly fieldManager: string;
  /** Take fields over from other managers. Only for objects that are ours. */
  readonly force: boolean;
  /** The server answers as if, and stores nothing. */
  readonly dryRun?: boolean;
}

export interface RemoveOptions extends CallOptions {
  /** Default Background: children go after the object. */
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
}

/** An object whose identity is proven: only this one may be removed. */
export interface Removable extends Pick<KubernetesObject, 'apiVersion' | 'kind'> {
  readonly metadata: ObjectRef & { readonly uid?: string };
}

/** A write was asked for while another replica may be leading. */
export class NotLeaderError extends Error {
  override readonly name = 'NotLeaderError';
}

export interface ClientOptions {
  readonly transport: Pick<Transport, 'request'>;
  /** Asked right before every write. */
  readonly mayWrite?: () => boolean;
}

const applyPatch = 'application/apply-patch+yaml';
const mergePatch = 'application/merge-patch+json';

/** Reads and writes single objects as plain JSON: no field is dropped, known or not. Every call throws as `Transport.request` does. */
export class Client {
  readonly #transport: Pick<Transport, 'request'>;
  readonly #mayWrite: () => boolean;

  constructor({ transport, mayWrite = () => true }: ClientOptions) {
    this.#transport = transport;
    this.#mayWrite = mayWrite;
  }

  /** Undefined if there is no such object. */
  async get<T extends KubernetesObject>(kind: ResourceKind, ref: ObjectRef, options: CallOptions = {}): Promise<T | undefined> {
    try {
      return await this.#transport.request<T>({ ...options, method: 'GET', path: objectPath(kind, ref) });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** All of them, page by page, consistent with the latest write. */
  async list<T extends KubernetesObject>(kind: ResourceKind, { namespace, labelSelector, fieldSelector, ...call }: ListOptions = {}): Promise<ObjectList<T>> {
    const path = collectionPath(kind, namespace);
    return listPages<T>({ kind, from: '', get: (page) => this.#transport.request({ ...call, method: 'GET', path, query: { labelSelector, fieldSelector, ...page } }) });
  }

  /** Server-side apply of the full intent. Fields we sent before and leave out now are removed. A `metadata.uid` in it guards against a namesake (409). */
  async apply<T extends KubernetesObject>(manifest: T, { fieldManager, force, dryRun, ...call }: ApplyOptions): Promise<T> {
    const query = { fieldManager, force, dryRun: dryRun ? 'All' : undefined };
    const path = objectPath(resourceKindOf(manifest), manifest.metadata);
    return this.#apply({ ...call, method: 'PATCH', path, query, body: manifest });
  }

  /**
   * Server-side apply of the status alone: only name, `resourceVersion` and `status` of the object are sent. With a resourceVersion the object must
   * still be the stored one (409); a uid would be no guard, the API server does not compare it here.
   */
  async applyStatus<T extends KubernetesObject & { readonly status?: unknown }>(object: T, { fieldManager, force, dryRun, ...call }: ApplyOptions): Promise<T> {
    const { apiVersion, kind, metadata, status } = object;
    const { name, namespace, resourceVersion } = metadata;
    const query = { fieldManager, force, dryRun: dryRun ? 'All' : undefined };
    const path = objectPath(resourceKindOf(object), metadata, 'status');
    const body = { apiVersion, kind, metadata: { name, namespace, resourceVersion }, status };
    return this.#apply({ ...call, method: 'PATCH', path, query, body });
  }

  async create<T extends KubernetesObject>(object: T, options: CallOptions = {}): Promise<T> {
    return this.#write({ ...options, method: 'POST', path: collectionPath(resourceKindOf(object), object.metadata.namespace), body: object });
  }

  /** Replaces the object; its resourceVersion must still be the stored one, else 409. */
  async update<T extends KubernetesObject>(object: T, options: CallOptions = {}): Promise<T> {
    return this.#write({ ...options, method: 'PUT', path: objectPath(resourceKindOf(object), object.metadata), body: object });
  }

  /** JSON merge patch (RFC 7386). */
  async mergePatch<T extends KubernetesObject>(kind: ResourceKind, ref: ObjectRef, patch: Readonly<Record<string, unknown>>, options: CallOptions = {}): Promise<T> {
    return this.#write({ ...options, method: 'PATCH', path: objectPath(kind, ref), body: patch, contentType: mergePatch });
  }

  /** Removes exactly this object: its uid is a precondition, so a namesake made since is safe (409). Already gone is success. */
  async remove({ apiVersion, kind, metadata }: Removable, { propagationPolicy = 'Background', ...call }: RemoveOptions = {}): Promise<void> {
    if (!metadata.uid) throw new Error(`cannot remove ${kind} ${metadata.name}: its uid is not known`);
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy, preconditions: { uid: metadata.uid } };
    try {
      await this.#write({ ...call, method: 'DELETE', path: objectPath(resourceKindOf({ apiVersion, kind }), metadata), body, idempotent: true });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async #apply<T>(request: ApiRequest): Promise<T> {
    try {
      return await this.#write({ ...request, contentType: applyPatch, idempotent: true });
    } catch (error) {
      if (!isUidMismatch(error)) throw error;
      throw new ApiError(409, { reason: 'Conflict', message: error.statusMessage }, `${request.method} ${request.path}`);
    }
  }

  async #write<T>(request: ApiRequest): Promise<T> {
    if (!this.#mayWrite()) throw new NotLeaderError(`${request.method} ${request.path}: not sent, this replica does not hold a fresh lease`);
    return this.#transport.request<T>(request);
  }
}
