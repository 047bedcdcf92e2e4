/**
 * An API server in memory, as far as a pass can tell: server-side apply with field managers, uid preconditions, defaults, refusals.
 * Where a test needs Kubernetes itself it uses a lab; this one is for what a lab cannot do, failing exactly the n-th write.
 */
import type { KubernetesObject } from '../src/api/kubernetes-object.ts';
import type { Microservice, MicroserviceStatus } from '../src/api/microservice.ts';
import type { Manifest } from '../src/desired/manifest.ts';
import type { Observed, Pod, TrafficObserved } from '../src/desired/observed.ts';
import type { OperatorEvent, Problem, ReconcilePorts } from '../src/reconcile/ports.ts';
import { trafficObserved } from './observed-world.ts';

type Json = Readonly<Record<string, unknown>>;

interface Stored {
  object: KubernetesObject;
  /** What each field manager applied last: the fields that it owns. */
  readonly applied: Map<string, Json>;
}

interface Write {
  readonly verb: 'apply' | 'remove' | 'status';
  readonly object: string;
}

class Refused extends Error {}

export class FakeCluster implements ReconcilePorts {
  readonly writes: Write[] = [];
  readonly events: OperatorEvent[] = [];
  microservice: Microservice | undefined;
  pods: readonly Pod[] = [];
  proxyPods: readonly Pod[] = [];
  configMaps: ReadonlyMap<string, string> = new Map();
  traffic: TrafficObserved = trafficObserved();
  isStale = false;
  now = Date.parse('2026-03-01T10:00:00Z');
  /** Refuses an object for good, as validation does. */
  refuses: (object: Manifest) => string | undefined = () => undefined;
  /** The n-th write from here, counted from 1, fails: the request is lost, or only its answer. */
  failWrite: { readonly n: number; readonly lost: 'request' | 'answer' } | undefined;
  readonly #objects = new Map<string, Stored>();
  #uids = 0;

  constructor(microservice: Microservice) {
    this.microservice = microservice;
  }

  observe(_namespace: string, _name: string): Observed | undefined | 'stale' {
    if (this.isStale) return 'stale';
    if (!this.microservice) return undefined;
    const { name } = this.microservice.metadata;
    const { microservice, pods, proxyPods, configMaps, traffic } = this;
    const children = this.objects().filter((object) => object.metadata.labels?.['microservice-operator.io/microservice'] === name);
    return deepFrozen({ microservice, children, pods, proxyPods, configMaps, traffic });
  }

  async get(manifest: Manifest): Promise<KubernetesObject | undefined> {
    return structuredClone(this.#objects.get(keyOf(manifest))?.object);
  }

  async apply(manifest: Manifest, { fieldManager, force }: { readonly fieldManager: string; readonly force: boolean }): Promise<KubernetesObject> {
    return this.#write({ verb: 'apply', object: keyOf(manifest) }, () => {
      const reason = this.refuses(manifest);
      if (reason !== undefined) throw new Refused(reason);
      const existing = this.#objects.get(keyOf(manifest));
      if (manifest.metadata.uid !== undefined && manifest.metadata.uid !== existing?.object.metadata.uid) throw new Error(`conflict: ${keyOf(manifest)} has another uid`);
      const stored = existing ?? { object: this.#created(manifest), applied: new Map() };
      if (!force) refuseConflict(stored, fieldManager, manifest);
      const kept = without(stored.object, stored.applied.get(fieldManager) ?? {}, manifest) as Json;
      this.#store(stored, merged(kept, manifest) as KubernetesObject);
      stored.applied.set(fieldManager, structuredClone(manifest));
      return structuredClone(stored.object);
    });
  }

  async remove(object: KubernetesObject): Promise<void> {
    this.#write({ verb: 'remove', object: keyOf(object) }, () => {
      const existing = this.#objects.get(keyOf(object));
      if (existing && existing.object.metadata.uid !== object.metadata.uid) throw new Error(`conflict: ${keyOf(object)} has another uid`);
      this.#objects.delete(keyOf(object));
    });
  }

  async writeStatus(_microservice: Microservice, status: MicroserviceStatus): Promise<void> {
    this.#write({ verb: 'status', object: 'Microservice' }, () => {
      if (this.microservice) this.microservice = { ...this.microservice, status: structuredClone(status) };
    });
  }

  event(_about: KubernetesObject, event: OperatorEvent): void {
    this.events.push(event);
  }

  refusal(error: unknown): Problem | undefined {
    return error instanceof Refused ? { reason: 'Invalid', message: error.message } : undefined;
  }

  nowMs(): number {
    return this.now;
  }

  objects(): readonly KubernetesObject[] {
    return [...this.#objects.values()].map(({ object }) => structuredClone(object));
  }

  find<T extends KubernetesObject = KubernetesObject>(id: string): T | undefined {
    return this.objects().find((object) => keyOf(object) === id) as T | undefined;
  }

  /** Somebody else's hand: `change` is merged over what is there, or creates it. */
  edit(change: Manifest): void {
    const stored = this.#objects.get(keyOf(change)) ?? { object: this.#created(change), applied: new Map() };
    this.#store(stored, merged(stored.object, change) as KubernetesObject);
  }

  /** Somebody else's hand. */
  drop(id: string): void {
    this.#objects.delete(id);
  }

  /** The Deployment controller has done its work: every pod runs and is Ready. */
  rollOut(): void {
    for (const stored of this.#objects.values()) {
      if (stored.object.kind !== 'Deployment') continue;
      const { replicas } = (stored.object as unknown as { spec: { replicas: number } }).spec;
      const status = { observedGeneration: stored.object.metadata.generation, replicas, updatedReplicas: replicas, readyReplicas: replicas, availableReplicas: replicas };
      stored.object = { ...stored.object, status } as KubernetesObject;
    }
  }

  /** All there is, without what only counts writes. */
  dump(): readonly unknown[] {
    const objects = this.objects().map(({ apiVersion, kind, metadata: { uid: _uid, resourceVersion: _version, generation: _generation, ...metadata }, ...rest }) => ({ apiVersion, kind, metadata, ...rest, status: undefined }));
    return [...objects.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)), this.microservice?.status];
  }

  #write<T>(write: Write, effect: () => T): T {
    this.writes.push(write);
    const isFailing = this.failWrite?.n === this.writes.length;
    if (isFailing && this.failWrite?.lost === 'request') throw new Error('the connection was lost before the request was sent');
    const answer = effect();
    if (isFailing) throw new Error('the connection was lost before the answer came');
    return answer;
  }

  #created(manifest: Manifest): KubernetesObject {
    this.#uids += 1;
    if (manifest.kind === 'Deployment' && !('selector' in (manifest['spec'] as Json))) throw new Refused('spec.selector: Required value');
    const defaults = manifest.kind === 'Deployment' ? { spec: { replicas: 1, progressDeadlineSeconds: 600 } } : {};
    const { apiVersion, kind, metadata } = manifest;
    return { apiVersion, kind, metadata: { name: metadata.name, namespace: metadata.namespace ?? 'default', uid: `uid-${this.#uids}`, generation: 0, resourceVersion: '0' }, ...defaults };
  }

  #store(stored: Stored, next: KubernetesObject): void {
    if ((next.metadata.ownerReferences ?? []).filter((owner) => owner.controller).length > 1) throw new Refused('metadata.ownerReferences: Only one reference can have Controller set to true');
    if (stored.object.metadata.resourceVersion !== '0' && JSON.stringify(next) === JSON.stringify(stored.object)) return;
    const { resourceVersion = '0', generation = 0 } = stored.object.metadata;
    stored.object = { ...next, metadata: { ...next.metadata, resourceVersion: String(Number(resourceVersion) + 1), generation: generation + 1 } };
    this.#objects.set(keyOf(next), stored);
  }
}

const keyOf = (object: { readonly kind?: string; readonly metadata: { readonly name: string } }): string => `${object.kind}/${object.metadata.name}`;

const LIST_KEYS = ['uid', 'mountPath', 'name', 'topologyKey'] as const;

const isRecord = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

const listKey = (list: readonly unknown[]): (typeof LIST_KEYS)[number] | undefined => LIST_KEYS.find((key) => list.length > 0 && list.every((item) => isRecord(item) && key in item));

/** Maps field by field, lists by their key, everything else (lists without a key, and a Service's selector) whole. */
function merged(base: unknown, over: unknown): unknown {
  if (isRecord(base) && isRecord(over)) {
    return { ...base, ...Object.fromEntries(Object.entries(over).map(([key, value]) => [key, key === 'selector' ? value : merged(base[key], value)])) };
  }
  const key = Array.isArray(base) && Array.isArray(over) ? listKey(over) : undefined;
  if (!key || !Array.isArray(base) || !Array.isArray(over)) return structuredClone(over);
  const at = (list: readonly Json[], item: Json): Json | undefined => list.find((candidate) => candidate[key] === item[key]);
  return [...over.map((item: Json) => merged(at(base, item), item)), ...base.filter((item: Json) => !at(over, item))];
}

/** What a manager applied before and does not apply now is taken away. */
function without(value: unknown, before: unknown, now: unknown): unknown {
  if (!isRecord(value) || !isRecord(before)) return value;
  const after = isRecord(now) ? now : {};
  return Object.fromEntries(Object.entries(value).flatMap(([key, inner]) => (key in before && !(key in after) ? [] : [[key, without(inner, before[key], after[key])]])));
}

function refuseConflict({ applied }: Stored, manager: string, manifest: Json): void {
  for (const [other, theirs] of applied) {
    if (other !== manager && differs(theirs, manifest)) throw new Error(`conflict with field manager ${other}`);
  }
}

const differs = (theirs: unknown, ours: unknown): boolean => (isRecord(theirs) && isRecord(ours) ? Object.keys(ours).some((key) => key in theirs && differs(theirs[key], ours[key])) : JSON.stringify(theirs) !== JSON.stringify(ours));

function deepFrozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) deepFrozen(inner);
  return Object.freeze(value);
}
