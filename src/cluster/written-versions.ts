import type { KubernetesObject } from '../api/kubernetes-object.ts';
import type { Informer } from './informer.ts';
import { keyOf } from './resource-kind.ts';
import { compareResourceVersions } from './resource-version.ts';

/** The part of an informer that tells how much it has seen. */
export type CacheView = Pick<Informer<KubernetesObject>, 'get' | 'lastResourceVersion'>;

export interface WrittenVersionsOptions {
  /** Where objects of this kind and namespace show up; undefined if nobody caches them. */
  readonly cacheOf: (object: KubernetesObject) => CacheView | undefined;
  readonly nowMs: () => number;
}

interface Write {
  readonly sinceMs: number;
  readonly isSeen: () => boolean;
}

/**
 * Read your own writes: what a pass has written must be in the cache before the next pass of the same key decides anything by it.
 * A write that the cache's selector does not match is only seen with the next bookmark, up to a minute later.
 */
export class WrittenVersions {
  readonly #options: WrittenVersionsOptions;
  readonly #writes = new Map<string, Map<string, Write>>();

  constructor(options: WrittenVersionsOptions) {
    this.#options = options;
  }

  /** `key`: whose pass it was. `stored`: what the API server returned. */
  wrote(key: string, stored: KubernetesObject): void {
    const { namespace, name, resourceVersion } = stored.metadata;
    if (!resourceVersion) return;
    this.#remember(key, stored, (cache) => {
      const order = compareResourceVersions(cache.lastResourceVersion, resourceVersion);
      return order === undefined ? cache.get(namespace, name)?.metadata.resourceVersion === resourceVersion : order >= 0;
    });
  }

  removed(key: string, object: KubernetesObject): void {
    const { namespace, name, uid } = object.metadata;
    this.#remember(key, object, (cache) => {
      const cached = cache.get(namespace, name);
      return cached?.metadata.uid !== uid || cached?.metadata.deletionTimestamp !== undefined;
    });
  }

  isFresh(key: string): boolean {
    return this.staleForMs(key) === undefined;
  }

  /** How long the oldest write of this key has been waiting to show up; undefined if all have. */
  staleForMs(key: string): number | undefined {
    const writes = this.#writes.get(key);
    if (!writes) return undefined;
    for (const [object, write] of writes) if (write.isSeen()) writes.delete(object);
    if (writes.size === 0) this.#writes.delete(key);
    const oldestMs = Math.min(...[...writes.values()].map((write) => write.sinceMs));
    return writes.size === 0 ? undefined : this.#options.nowMs() - oldestMs;
  }

  #remember(key: string, object: KubernetesObject, isSeenBy: (cache: CacheView) => boolean): void {
    const cache = this.#options.cacheOf(object);
    if (!cache) return;
    const writes = this.#writes.get(key) ?? new Map<string, Write>();
    writes.set(`${object.apiVersion}/${object.kind}/${keyOf(object.metadata)}`, { sinceMs: this.#options.nowMs(), isSeen: () => isSeenBy(cache) });
    this.#writes.set(key, writes);
  }
}
