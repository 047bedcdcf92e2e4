/**
 * Keeps a sink equal to what the API server holds, for ever: read everything, then watch, then recover.
 * One state machine: `#step` alone says where it stands, and no failure ends it.
 */
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import { Backoff } from '../engine/backoff.ts';
import { pause, systemClock, type Clock } from '../engine/clock.ts';
import { deadline } from '../engine/deadline.ts';
import { ApiError } from './api-error.ts';
import { LineSplitter } from './line-splitter.ts';
import { listPages } from './list-pages.ts';
import { recovery, ShortWatchError, type Recovery, type ReflectorStep } from './reflector-step.ts';
import { collectionPath, keyOf, resourceName, type ResourceKind } from './resource-kind.ts';
import type { Query, Transport } from './transport.ts';
import { watchEvent, type ObjectEvent, type WatchEvent } from './watch-event.ts';

export interface ReflectorSink<T extends KubernetesObject> {
  replace(objects: readonly T[]): void;
  apply(event: ObjectEvent<T>): void;
}

export interface ReflectorObserver {
  /** Everything was read, by a list or by a watch that begins with everything. */
  readonly listed: (objects: number) => void;
  readonly watched: () => void;
  readonly event: (type: WatchEvent<KubernetesObject>['type']) => void;
  readonly failed: (error: unknown, next: Recovery) => void;
}

/** Times that only tests shorten. */
export interface ReflectorTimes {
  /** Of one watch, chosen between one and two of these; the API server ends it then. Default 300 s. */
  readonly watchMs: number;
  /** Without a byte for this long the peer is dead; the API server sends a bookmark about each minute. Default 3 minutes. */
  readonly inactivityMs: number;
  /** A server that does not know WatchList never ends the initial events. Default 20 s. */
  readonly initialEventsMs: number;
  /** A shorter watch without an event is a failure. Default 1 s. */
  readonly shortWatchMs: number;
  /** After 401, 403, 404. Default 15 s. */
  readonly slowMs: number;
  /** First and longest delay after other failures. Default 0.8 s and 30 s. */
  readonly backoffMs: number;
  readonly backoffCapMs: number;
}

const defaultTimes: ReflectorTimes = { watchMs: 300_000, inactivityMs: 180_000, initialEventsMs: 20_000, shortWatchMs: 1_000, slowMs: 15_000, backoffMs: 800, backoffCapMs: 30_000 };

export interface ReflectorOptions {
  readonly transport: Pick<Transport, 'request' | 'watch'>;
  readonly kind: ResourceKind;
  /** Default: all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly observer?: ReflectorObserver | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
  readonly times?: Partial<ReflectorTimes> | undefined;
}

/** The server cannot begin a watch with everything; `forGood` if asking again is pointless. */
class WatchListUnavailable extends Error {
  readonly forGood: boolean;

  constructor(forGood: boolean) {
    super('the server does not begin a watch with the present objects');
    this.forGood = forGood;
  }
}

/** The loop stays responsive: other work gets a turn at least this often. */
const yieldAfterMs = 10;

export class Reflector<T extends KubernetesObject> {
  readonly #options: ReflectorOptions;
  readonly #sink: ReflectorSink<T>;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #times: ReflectorTimes;
  readonly #backoff: Backoff;
  readonly #path: string;
  #step: ReflectorStep = { do: 'sync', from: '' };
  #version = '';
  #watchList = true;
  #started = false;
  #problem: string | undefined;
  #serverErrorsSinceMs: number | undefined;
  #lastSignMs: number;

  constructor(options: ReflectorOptions, sink: ReflectorSink<T>) {
    this.#options = options;
    this.#sink = sink;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#times = { ...defaultTimes, ...options.times };
    this.#backoff = new Backoff({ clock: this.#clock, random: this.#random, baseMs: this.#times.backoffMs, capMs: this.#times.backoffCapMs });
    this.#path = collectionPath(options.kind, options.namespace);
    this.#lastSignMs = this.#clock.nowMs();
  }

  /** The sink is at least as new as this; empty before the first sync. */
  get lastResourceVersion(): string {
    return this.#version;
  }

  /** Why the sink may be out of date, in words, with the fix where there is one. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Since the last event or bookmark. */
  get silentMs(): number {
    return this.#clock.nowMs() - this.#lastSignMs;
  }

  /** Ends when `signal` aborts, and never otherwise; sends nothing after that. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#started) throw new Error(`the reflector of ${this.#path} was started before`);
    this.#started = true;
    while (!signal.aborted) {
      try {
        await (this.#step.do === 'sync' ? this.#sync(signal) : this.#watch(signal));
      } catch (error) {
        if (!signal.aborted) await this.#recover(error, signal);
      }
    }
  }

  async #sync(signal: AbortSignal): Promise<void> {
    if (this.#watchList) {
      try {
        return await this.#watchFromInitialEvents(signal);
      } catch (error) {
        if (!(error instanceof WatchListUnavailable)) throw error;
        if (error.forGood) this.#watchList = false;
      }
    }
    await this.#list(signal);
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { transport, kind } = this.#options;
    const list = await listPages<T>({
      kind,
      from: this.#step.from,
      get: (page) => transport.request({ method: 'GET', path: this.#path, query: { ...this.#selectors(), ...page }, signal }),
    });
    if (!signal.aborted) this.#replace(list.items, list.resourceVersion);
  }

  async #watch(signal: AbortSignal): Promise<void> {
    await this.#stream({ resourceVersion: this.#step.from }, signal, (event) => this.#handle(event));
  }

  /** KEP-3157: the present objects come as events and end with a marked bookmark; the same stream then goes on as a watch. */
  async #watchFromInitialEvents(signal: AbortSignal): Promise<void> {
    const present = new Map<string, T>();
    let complete = false;
    const limit = deadline({ clock: this.#clock, timeoutMs: this.#times.initialEventsMs, parent: signal, reason: () => new WatchListUnavailable(true) });
    const query = { resourceVersion: this.#step.from, sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' };
    const handle = (event: WatchEvent<T>): void => {
      if (complete) return this.#handle(event);
      if (event.type !== 'BOOKMARK') return collect(present, event);
      if (!event.endsInitialEvents) return;
      complete = true;
      limit.lift();
      this.#replace([...present.values()], event.resourceVersion);
      present.clear();
    };
    try {
      await this.#stream(query, limit.signal, handle);
    } catch (error) {
      throw complete ? error : unavailable(error);
    } finally {
      limit.clear();
    }
    if (!complete) throw new WatchListUnavailable(false);
  }

  /** Returns when the server ends the stream in good order or its time is up. */
  async #stream(query: Query, signal: AbortSignal, handle: (event: WatchEvent<T>) => void): Promise<void> {
    const { transport, kind, observer } = this.#options;
    const timeoutMs = this.#times.watchMs * (1 + this.#random());
    const limit = deadline({ clock: this.#clock, timeoutMs: timeoutMs + 5_000, parent: signal, reason: () => new Error('the watch is over') });
    const startedMs = this.#clock.nowMs();
    const lines = new LineSplitter();
    let events = 0;
    try {
      const whole = { ...this.#selectors(), ...query, watch: true, allowWatchBookmarks: true, timeoutSeconds: Math.ceil(timeoutMs / 1000) };
      const chunks = await transport.watch({ path: this.#path, query: whole, signal: limit.signal, inactivityMs: this.#times.inactivityMs });
      observer?.watched();
      this.#problem = undefined;
      let turnMs = this.#clock.nowMs();
      for await (const chunk of chunks) {
        for (const line of lines.push(chunk)) {
          handle(this.#seen(watchEvent<T>(line, kind)));
          events += 1;
        }
        signal.throwIfAborted();
        if (this.#clock.nowMs() - turnMs > yieldAfterMs) turnMs = await this.#yield();
      }
    } catch (error) {
      if (!limit.passed()) throw error;
    } finally {
      limit.clear();
    }
    if (events === 0 && this.#clock.nowMs() - startedMs < this.#times.shortWatchMs) throw new ShortWatchError(`watch of ${kind.plural}: closed at once`);
  }

  #seen(event: WatchEvent<T>): WatchEvent<T> {
    this.#serverErrorsSinceMs = undefined;
    this.#lastSignMs = this.#clock.nowMs();
    this.#options.observer?.event(event.type);
    return event;
  }

  #handle(event: WatchEvent<T>): void {
    if (event.type !== 'BOOKMARK') this.#sink.apply(event);
    this.#reached(event.type === 'BOOKMARK' ? event.resourceVersion : (event.object.metadata.resourceVersion ?? this.#version));
  }

  #reached(version: string): void {
    this.#version = version;
    this.#step = { do: 'watch', from: version };
  }

  #replace(objects: readonly T[], resourceVersion: string): void {
    this.#sink.replace(objects);
    this.#reached(resourceVersion);
    this.#problem = undefined;
    this.#lastSignMs = this.#clock.nowMs();
    this.#options.observer?.listed(objects.length);
  }

  async #recover(error: unknown, signal: AbortSignal): Promise<void> {
    if (error instanceof ApiError && error.code >= 500) this.#serverErrorsSinceMs ??= this.#clock.nowMs();
    const next = recovery(this.#step, error, this.#clock.nowMs() - (this.#serverErrorsSinceMs ?? this.#clock.nowMs()));
    if (next.step.do === 'sync') this.#serverErrorsSinceMs = undefined;
    this.#step = next.step;
    this.#problem = problem(this.#options.kind, error);
    this.#options.observer?.failed(error, next);
    const delayMs = next.pace === 'slow' ? this.#times.slowMs * (1 + this.#random()) : this.#backoff.nextMs();
    await pause(this.#clock, Math.max(delayMs, next.atLeastMs ?? 0), signal);
  }

  async #yield(): Promise<number> {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    return this.#clock.nowMs();
  }

  #selectors(): Query {
    const { labelSelector, fieldSelector } = this.#options;
    return { labelSelector, fieldSelector };
  }
}

function collect<T extends KubernetesObject>(present: Map<string, T>, { type, object }: ObjectEvent<T>): void {
  const key = keyOf(object.metadata);
  if (type === 'DELETED') present.delete(key);
  else present.set(key, object);
}

/** A refusal of the question means LIST instead; what a LIST would be told too stays as it is. */
function unavailable(error: unknown): unknown {
  if (error instanceof ShortWatchError) return new WatchListUnavailable(false);
  if (!(error instanceof ApiError) || error.code >= 500 || error.code === 410 || error.code === 429) return error;
  return new WatchListUnavailable(error.code === 400 || error.code === 422);
}

function problem(kind: ResourceKind, error: unknown): string {
  const name = resourceName(kind);
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ApiError && error.code === 404) return `the API server does not serve ${name} ${kind.apiVersion}: install its CustomResourceDefinition (${message})`;
  if (error instanceof ApiError && error.code === 403) return `not allowed to read ${name}: grant get, list and watch to the operator's service account (${message})`;
  return `cannot read ${name}, trying again: ${message}`;
}
