import type { KubernetesObject } from '../api/kubernetes-object.ts';
import { keyOf, type ObjectRef } from './resource-kind.ts';
import { compareResourceVersions } from './resource-version.ts';
import type { ObjectEvent } from './watch-event.ts';

/** One change of the cached world. */
export type Change<T extends KubernetesObject> =
  /** `initial`: found by the first list, so not news. */
  | { readonly type: 'added'; readonly old?: never; readonly new: T; readonly initial: boolean }
  | { readonly type: 'updated'; readonly old: T; readonly new: T }
  /** `finalStateUnknown`: it went while nobody was watching; `old` is the last state seen. */
  | { readonly type: 'deleted'; readonly old: T; readonly new?: never; readonly finalStateUnknown: boolean };

/** The values under which an object can be found. */
export type IndexFunction<T> = (object: T) => readonly string[];

/** Objects of one kind by key, with indexes. Objects are shared and never changed: whoever wants another one copies. */
export class Store<T extends KubernetesObject> {
  readonly #objects = new Map<string, T>();
  readonly #indexes: ReadonlyMap<string, Index<T>>;

  constructor(indexes: Readonly<Record<string, IndexFunction<T>>> = {}) {
    this.#indexes = new Map(Object.entries(indexes).map(([name, valuesOf]) => [name, new Index(valuesOf)]));
  }

  get size(): number {
    return this.#objects.size;
  }

  get(ref: ObjectRef): T | undefined {
    return this.#objects.get(keyOf(ref));
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  byIndex(name: string, value: string): T[] {
    const index = this.#indexes.get(name);
    if (!index) throw new Error(`there is no index ${name}; there are ${[...this.#indexes.keys()].join(', ')}`);
    return index.find(value);
  }

  /** Makes the store equal to a full list and says what that changed. */
  replace(objects: readonly T[], initial: boolean): Change<T>[] {
    const listed = new Map(objects.map((object) => [keyOf(object.metadata), object]));
    const gone = [...this.#objects.values()].filter((object) => !listed.has(keyOf(object.metadata)));
    const changes = gone.map((object) => this.#remove(object, { finalStateUnknown: true }));
    for (const object of listed.values()) changes.push(...this.#put(object, initial));
    return changes;
  }

  /** Nothing for an event that is older than what is stored. */
  apply({ type, object }: ObjectEvent<T>): Change<T>[] {
    const stored = this.get(object.metadata);
    if (type !== 'DELETED') return stored && !isNewer(object, stored) ? [] : this.#put(object, false);
    if (!stored || stored.metadata.uid !== object.metadata.uid || isOlder(object, stored)) return [];
    return [this.#remove(stored, { finalStateUnknown: false, last: object })];
  }

  #put(object: T, initial: boolean): Change<T>[] {
    const old = this.get(object.metadata);
    if (old && isSame(old, object)) return [];
    this.#objects.set(keyOf(object.metadata), object);
    for (const index of this.#indexes.values()) index.move(old, object);
    if (!old) return [{ type: 'added', new: object, initial }];
    if (old.metadata.uid === object.metadata.uid) return [{ type: 'updated', old, new: object }];
    // Deleted and made anew in a gap: two lives, not an update.
    return [
      { type: 'deleted', old, finalStateUnknown: true },
      { type: 'added', new: object, initial: false },
    ];
  }

  #remove(stored: T, { finalStateUnknown, last = stored }: { finalStateUnknown: boolean; last?: T }): Change<T> {
    this.#objects.delete(keyOf(stored.metadata));
    for (const index of this.#indexes.values()) index.move(stored, undefined);
    return { type: 'deleted', old: last, finalStateUnknown };
  }
}

const isSame = (a: KubernetesObject, b: KubernetesObject): boolean =>
  a.metadata.uid === b.metadata.uid && a.metadata.resourceVersion !== undefined && a.metadata.resourceVersion === b.metadata.resourceVersion;

const order = (a: KubernetesObject, b: KubernetesObject): number | undefined => compareResourceVersions(a.metadata.resourceVersion ?? '', b.metadata.resourceVersion ?? '');

/** Versions that cannot be ordered count as newer unless they are equal. */
const isNewer = (event: KubernetesObject, stored: KubernetesObject): boolean => (order(event, stored) ?? 1) > 0;
const isOlder = (event: KubernetesObject, stored: KubernetesObject): boolean => (order(event, stored) ?? 0) < 0;

/** Objects by one kind of value, kept up to date change by change. */
class Index<T extends KubernetesObject> {
  readonly #valuesOf: IndexFunction<T>;
  readonly #found = new Map<string, Map<string, T>>();

  constructor(valuesOf: IndexFunction<T>) {
    this.#valuesOf = valuesOf;
  }

  find(value: string): T[] {
    return [...(this.#found.get(value)?.values() ?? [])];
  }

  move(old: T | undefined, object: T | undefined): void {
    if (old) for (const value of this.#valuesOf(old)) this.#delete(value, old);
    if (object) for (const value of this.#valuesOf(object)) this.#set(value, object);
  }

  #set(value: string, object: T): void {
    const objects = this.#found.get(value) ?? new Map<string, T>();
    objects.set(keyOf(object.metadata), object);
    this.#found.set(value, objects);
  }

  #delete(value: string, object: T): void {
    const objects = this.#found.get(value);
    objects?.delete(keyOf(object.metadata));
    if (objects?.size === 0) this.#found.delete(value);
  }
}
