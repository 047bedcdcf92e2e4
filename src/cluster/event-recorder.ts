import type { KubernetesObject } from '../api/kubernetes-object.ts';
import { pause, systemClock, type Clock } from '../engine/clock.ts';
import { TokenBucket } from '../engine/token-bucket.ts';
import { isNotFound } from './api-error.ts';
import type { Client } from './client.ts';
import { microTime } from './micro-time.ts';
import { resourceKinds } from './resource-kind.ts';

/** What happened, for `kubectl describe` and `kubectl events`. */
export interface Happening {
  readonly regarding: KubernetesObject;
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, at most 128 characters: why. */
  readonly reason: string;
  /** CamelCase, at most 128 characters: what was done. */
  readonly action: string;
  /** One sentence; cut at 1 kB. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly client: Pick<Client, 'create' | 'mergePatch'>;
  /** `microservice-operator.io/controller`; the instance is the pod's name. */
  readonly controller: string;
  readonly instance: string;
  readonly clock?: Clock;
  readonly epochMs?: () => number;
  readonly random?: () => number;
  /** An event was lost: by error, rate limit or a full buffer. */
  readonly onDropped?: (why: string) => void;
}

interface Identity extends Pick<KubernetesObject, 'apiVersion' | 'kind'> {
  readonly metadata: { readonly [Field in 'namespace' | 'uid' | 'resourceVersion']: string | undefined } & { readonly name: string };
}

/** events.k8s.io/v1 Event, as we write it. */
interface Event extends KubernetesObject {
  readonly series?: { readonly count: number; readonly lastObservedTime: string };
  readonly [field: string]: unknown;
}

/** The same thing again and again: one Event with a count. */
interface Series {
  readonly happening: Omit<Happening, 'regarding'> & { readonly regarding: Identity };
  readonly firstMs: number;
  count: number;
  lastMs: number;
  /** Set once it is stored. */
  name: string | undefined;
}

const bufferLimit = 1_000;
const rememberedLimit = 4_096;
/** client-go's recorder: after 10 different notes of one reason in 600 s the rest count as one; 25 writes per object, then one per 300 s. */
const similarNotes = 10;
const windowMs = 600_000;
const objectBurst = 25;
const objectRatePerSecond = 1 / 300;
const overallRate = { ratePerSecond: 20, burst: 100 };
const noteBytes = 1_000;

/** Writes Events in the background. Losing one never fails anything. */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #epochMs: () => number;
  readonly #random: () => number;
  readonly #overall: TokenBucket;
  readonly #series = new Map<string, Series>();
  readonly #notes = new Map<string, { readonly sinceMs: number; readonly notes: Set<string> }>();
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #buffer = new Map<string, Series>();
  #sending: Promise<void> | undefined;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#epochMs = options.epochMs ?? Date.now;
    this.#random = options.random ?? Math.random;
    this.#overall = new TokenBucket({ clock: this.#clock, ...overallRate });
  }

  record(happening: Happening): void {
    const key = this.#seriesKey(happening);
    const series = this.#counted(key, happening);
    if (this.#buffer.has(key)) return;
    if (this.#buffer.size >= bufferLimit) return this.#dropped('the buffer is full');
    if (!this.#bucketOf(happening.regarding).tryTake()) return this.#dropped('too many events for one object');
    this.#buffer.set(key, series);
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    });
  }

  /** Waits until the buffer is written, at most this long. */
  async drain(deadlineMs: number): Promise<void> {
    const over = new AbortController();
    await Promise.race([this.#sending, pause(this.#clock, deadlineMs, over.signal)]);
    over.abort();
  }

  async #send(): Promise<void> {
    for (let next = first(this.#buffer); next; next = first(this.#buffer)) {
      const waitMs = this.#overall.reserveMs();
      if (waitMs > 0) await pause(this.#clock, waitMs);
      const [key, series] = next;
      this.#buffer.delete(key);
      try {
        await this.#write(series);
      } catch (error) {
        this.#dropped(error instanceof Error ? error.message : String(error));
      }
    }
  }

  async #write(series: Series): Promise<void> {
    const { client } = this.#options;
    const { regarding } = series.happening;
    if (series.name !== undefined) {
      try {
        const ref = { namespace: namespaceOf(regarding), name: series.name };
        await client.mergePatch(resourceKinds.event, ref, { series: this.#count(series) });
        return;
      } catch (error) {
        // Events live for an hour: begin a new one.
        if (!isNotFound(error)) throw error;
      }
    }
    const stored = await client.create(this.#event(series));
    series.name = stored.metadata.name;
  }

  #event(series: Series): Event {
    const { regarding, type, reason, action, note } = series.happening;
    const { name } = regarding.metadata;
    const suffix = `${this.#epochMs().toString(16)}${Math.floor(this.#random() * 2 ** 32).toString(16)}`;
    return {
      apiVersion: resourceKinds.event.apiVersion,
      kind: resourceKinds.event.kind,
      metadata: { name: `${name}.${suffix}`, namespace: namespaceOf(regarding) },
      eventTime: this.#time(series.firstMs),
      reportingController: this.#options.controller,
      reportingInstance: this.#options.instance,
      regarding: { apiVersion: regarding.apiVersion, kind: regarding.kind, ...regarding.metadata },
      type,
      reason,
      action,
      note: cut(note),
      ...(series.count > 1 ? { series: this.#count(series) } : {}),
    };
  }

  #count({ count, lastMs }: Series): { count: number; lastObservedTime: string } {
    return { count, lastObservedTime: this.#time(lastMs) };
  }

  #time(atMs: number): string {
    return microTime(this.#epochMs() - (this.#clock.nowMs() - atMs));
  }

  #counted(key: string, happening: Happening): Series {
    const nowMs = this.#clock.nowMs();
    const known = this.#series.get(key);
    if (known && nowMs - known.lastMs < windowMs) {
      known.count += 1;
      known.lastMs = nowMs;
      return known;
    }
    const series = { happening: { ...happening, regarding: identity(happening.regarding) }, firstMs: nowMs, count: 1, lastMs: nowMs, name: undefined };
    remember(this.#series, key, series);
    return series;
  }

  #seriesKey({ regarding, type, reason, action, note }: Happening): string {
    const group = JSON.stringify([regarding.metadata.uid, regarding.kind, regarding.metadata.namespace, regarding.metadata.name, type, reason, action]);
    const nowMs = this.#clock.nowMs();
    const known = this.#notes.get(group);
    const similar = known && nowMs - known.sinceMs < windowMs ? known : { sinceMs: nowMs, notes: new Set<string>() };
    if (similar !== known) remember(this.#notes, group, similar);
    if (similar.notes.size < similarNotes) similar.notes.add(note);
    return similar.notes.has(note) ? `${group} ${note}` : group;
  }

  #bucketOf({ kind, metadata }: KubernetesObject): TokenBucket {
    const key = `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;
    const known = this.#buckets.get(key);
    if (known) return known;
    const bucket = new TokenBucket({ clock: this.#clock, ratePerSecond: objectRatePerSecond, burst: objectBurst });
    remember(this.#buckets, key, bucket);
    return bucket;
  }

  #dropped(why: string): void {
    this.#options.onDropped?.(why);
  }
}

/** Remembered for long, so without spec and status. */
const identity = ({ apiVersion, kind, metadata: { name, namespace, uid, resourceVersion } }: KubernetesObject): Identity => ({ apiVersion, kind, metadata: { name, namespace, uid, resourceVersion } });

const namespaceOf = ({ metadata }: Identity): string => metadata.namespace ?? 'default';

/** Bounded: forgets what was remembered first. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.size > rememberedLimit ? first(map) : undefined;
  if (oldest) map.delete(oldest[0]);
}

function first<T>(map: ReadonlyMap<string, T>): [string, T] | undefined {
  for (const entry of map) return entry;
  return undefined;
}

/** At most `noteBytes` of UTF-8, never half a character. */
function cut(note: string): string {
  const bytes = Buffer.from(note);
  if (bytes.length <= noteBytes) return note;
  return `${bytes.subarray(0, noteBytes).toString('utf8').replace(/\uFFFD+$/, '')}…`;
}
