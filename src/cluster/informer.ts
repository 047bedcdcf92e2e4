import type { KubernetesObject } from '../api/kubernetes-object.ts';
import { systemClock, type Clock } from '../engine/clock.ts';
import { deadline } from '../engine/deadline.ts';
import { Reflector, type ReflectorOptions, type ReflectorSink } from './reflector.ts';
import { resourceName, type ResourceKind } from './resource-kind.ts';
import { Store, type Change, type IndexFunction } from './store.ts';

export interface InformerOptions<T extends KubernetesObject> extends ReflectorOptions {
  /** What is kept of each object. Default: all but `metadata.managedFields`, which are half of it. */
  readonly transform?: (object: T) => T;
  /** Beside the built-in `namespace` and `owner` (uid of the controlling owner). */
  readonly indexes?: Readonly<Record<string, IndexFunction<T>>>;
  /** Freezes every object all the way down: for tests, it costs more than parsing. */
  readonly freeze?: boolean;
  /** A handler threw: a bug, counted and kept away from the others. */
  readonly onHandlerError?: (error: unknown) => void;
}

export type ChangeHandler<T extends KubernetesObject> = (change: Change<T>) => void;

/** A live copy of the objects of one kind, namespace and selector. Share one between all who need it. */
export class Informer<T extends KubernetesObject> {
  readonly kind: ResourceKind;
  readonly namespace: string | undefined;
  readonly #reflector: Reflector<T>;
  readonly #store: Store<T>;
  readonly #keep: (object: T) => T;
  readonly #onHandlerError: (error: unknown) => void;
  readonly #handlers: ChangeHandler<T>[] = [];
  #synced = false;
  #resolveSynced: () => void = () => {};
  /** Resolves when the first full read is stored and every handler has been told. Never rejects. */
  readonly whenSynced: Promise<void>;

  constructor(options: InformerOptions<T>) {
    const { kind, namespace, transform = withoutManagedFields, indexes, freeze = false, onHandlerError = () => {} } = options;
    this.kind = kind;
    this.namespace = namespace;
    this.#keep = freeze ? (object) => deepFreeze(transform(object)) : transform;
    this.#store = new Store<T>({ namespace: byNamespace, owner: byOwner, ...indexes });
    this.#onHandlerError = onHandlerError;
    this.#reflector = new Reflector(options, this.#sink());
    this.whenSynced = new Promise((resolve) => {
      this.#resolveSynced = resolve;
    });
  }

  /** Resolves when `signal` has aborted and the last request is over. A second start rejects. */
  start(signal: AbortSignal): Promise<void> {
    return this.#reflector.run(signal);
  }

  get synced(): boolean {
    return this.#synced;
  }

  /** The cache is at least as new as this; empty before the first sync. */
  get lastResourceVersion(): string {
    return this.#reflector.lastResourceVersion;
  }

  /** Why the cache may be out of date, in words; undefined when all is well. */
  get problem(): string | undefined {
    return this.#reflector.problem;
  }

  /** Since the last event or bookmark. */
  get silentMs(): number {
    return this.#reflector.silentMs;
  }

  get size(): number {
    return this.#store.size;
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#store.get({ namespace, name });
  }

  list(): T[] {
    return this.#store.list();
  }

  byIndex(index: string, value: string): T[] {
    return this.#store.byIndex(index, value);
  }

  /** `handler` only notes what to do: it runs while events wait, after the store has changed. It is told at once of what is stored already. */
  onChange(handler: ChangeHandler<T>): void {
    this.#handlers.push(handler);
    for (const object of this.#store.list()) this.#tell(handler, { type: 'added', new: object, initial: true });
  }

  #sink(): ReflectorSink<T> {
    return {
      replace: (objects) => {
        this.#tellAll(this.#store.replace(objects.map(this.#keep), !this.#synced));
        this.#synced = true;
        this.#resolveSynced();
      },
      apply: ({ type, object }) => this.#tellAll(this.#store.apply({ type, object: this.#keep(object) })),
    };
  }

  #tellAll(changes: readonly Change<T>[]): void {
    for (const change of changes) for (const handler of this.#handlers) this.#tell(handler, change);
  }

  #tell(handler: ChangeHandler<T>, change: Change<T>): void {
    try {
      handler(change);
    } catch (error) {
      this.#onHandlerError(error);
    }
  }
}

/** How an informer is doing, whatever it holds. */
export type InformerHealth = Pick<Informer<KubernetesObject>, 'kind' | 'synced' | 'problem' | 'whenSynced'>;

export interface SyncOptions {
  /** Default 2 minutes. */
  readonly limitMs?: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

/** Resolves when all have synced; rejects at the limit with those that have not, and why. */
export async function waitForSync(informers: readonly InformerHealth[], options: SyncOptions = {}): Promise<void> {
  const { limitMs = 120_000, signal, clock = systemClock } = options;
  const missing = (): string => informers.flatMap(({ kind, synced, problem }) => (synced ? [] : [`${resourceName(kind)}: ${problem ?? 'no answer yet'}`])).join('; ');
  const limit = deadline({ clock, timeoutMs: limitMs, parent: signal, reason: () => new Error(`not synced after ${limitMs} ms: ${missing()}`) });
  try {
    await Promise.race([Promise.all(informers.map((informer) => informer.whenSynced)), aborted(limit.signal)]);
  } finally {
    limit.clear();
  }
}

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

export function withoutManagedFields<T extends KubernetesObject>(object: T): T {
  const { managedFields: _, ...metadata }: T['metadata'] & { readonly managedFields?: unknown } = object.metadata;
  return { ...object, metadata };
}

const byNamespace = ({ metadata }: KubernetesObject): string[] => (metadata.namespace ? [metadata.namespace] : []);
const byOwner = ({ metadata }: KubernetesObject): string[] => (metadata.ownerReferences ?? []).flatMap(({ controller, uid }) => (controller ? [uid] : []));

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}

