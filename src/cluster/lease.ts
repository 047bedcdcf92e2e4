import type { KubernetesObject } from '../api/kubernetes-object.ts';
import { pause, systemClock, type Clock } from '../engine/clock.ts';
import { isConflict, isNotFound } from './api-error.ts';
import type { Client } from './client.ts';
import { microTime } from './micro-time.ts';
import { resourceKinds } from './resource-kind.ts';

export interface LeaseTimes {
  /** Others may take over when the lease has not changed for this long. Default 15 s. */
  readonly leaseDurationMs: number;
  /** The leader gives up when it could not renew for this long. Default 10 s. */
  readonly renewDeadlineMs: number;
  /** Default 2 s. */
  readonly retryPeriodMs: number;
}

interface LeaderElectionObserver {
  readonly acquired: () => void;
  readonly lost: (reason: string) => void;
  /** One attempt failed; the next follows by itself. */
  readonly failed: (error: unknown) => void;
}

export interface LeaderElectionOptions {
  /** Must not be guarded by `mayWrite` itself. */
  readonly client: Pick<Client, 'get' | 'create' | 'update'>;
  readonly namespace: string;
  readonly name: string;
  /** Unique for each process: host name and something random. */
  readonly identity: string;
  readonly times?: Partial<LeaseTimes>;
  readonly observer?: LeaderElectionObserver;
  readonly clock?: Clock;
  /** Milliseconds since 1970, only written for people to read. */
  readonly epochMs?: () => number;
  readonly random?: () => number;
}

/** coordination.k8s.io/v1 Lease. */
export interface Lease extends KubernetesObject {
  readonly spec?: LeaseSpec;
}

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

type State = 'candidate' | 'leader' | 'over';

const jitterFactor = 1.2;
/** client-go adds up to 120 % here too; a hand-over should not take 4 s because of that. */
const acquireJitter = 0.2;
const releaseAttempts = 3;

/**
 * One leader at a time, as client-go's leaderelection. Others are judged by when their record changed on this process's
 * monotonic clock, never by the times written in it. It is not a fence: two leaders may overlap for a moment, so every
 * write must be safe by itself.
 */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #times: LeaseTimes;
  readonly #clock: Clock;
  readonly #epochMs: () => number;
  readonly #random: () => number;
  readonly #lost = new AbortController();
  readonly #stop = new AbortController();
  #state: State = 'candidate';
  #lease: Lease | undefined;
  #seenMs = 0;
  #renewedMs = 0;
  #renewing: Promise<void> = Promise.resolve();

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#times = validated({ leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000, ...options.times });
    this.#clock = options.clock ?? systemClock;
    this.#epochMs = options.epochMs ?? Date.now;
    this.#random = options.random ?? Math.random;
  }

  get isLeader(): boolean {
    return this.#state === 'leader';
  }

  /** Aborts when leadership is lost, not when it is released. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Who holds the lease, as last seen. */
  get holder(): string | undefined {
    return this.#lease?.spec?.holderIdentity;
  }

  /** Leading, and renewed lately: after a stall of this process it is false until the lease has been checked again. Ask right before each write. */
  mayWrite(): boolean {
    return this.isLeader && this.#clock.nowMs() - this.#renewedMs < this.#times.renewDeadlineMs;
  }

  /** False if this process believes it leads although its lease must have run out: its renewing hangs, restart it. */
  get isHealthy(): boolean {
    return !this.isLeader || this.#clock.nowMs() - this.#renewedMs < this.#times.leaseDurationMs + this.#times.renewDeadlineMs;
  }

  /** Resolves when this process leads, which it then keeps up in the background; rejects with the reason of `signal`. */
  async acquire(signal: AbortSignal): Promise<void> {
    if (this.#state !== 'candidate' || this.#stop.signal.aborted) throw new Error('an election is used once');
    while (!(await this.#attempt(this.#times.renewDeadlineMs / 2, signal))) {
      await pause(this.#clock, this.#times.retryPeriodMs * (1 + this.#random() * acquireJitter), signal);
      signal.throwIfAborted();
    }
    this.#state = 'leader';
    this.#options.observer?.acquired();
    this.#renewing = this.#renew();
  }

  /** Hands the lease on at once. Call it when all work has ended. Never rejects: without it the others only wait longer. */
  async release(): Promise<void> {
    this.#stop.abort();
    await this.#renewing;
    if (!this.isLeader) return;
    this.#state = 'over';
    for (let attempt = 0; attempt < releaseAttempts; attempt += 1) {
      if (await this.#tryRelease()) return;
    }
  }

  async #renew(): Promise<void> {
    const stop = this.#stop.signal;
    for (;;) {
      await pause(this.#clock, this.#times.retryPeriodMs, stop);
      if (stop.aborted) return;
      const remainingMs = this.#times.renewDeadlineMs - (this.#clock.nowMs() - this.#renewedMs);
      if (await this.#attempt(Math.min(this.#times.renewDeadlineMs / 2, remainingMs))) continue;
      if (this.holder && this.holder !== this.#options.identity) return this.#lose(`the lease is held by ${this.holder}`);
      if (this.#clock.nowMs() - this.#renewedMs >= this.#times.renewDeadlineMs) return this.#lose(`not renewed within ${this.#times.renewDeadlineMs} ms`);
    }
  }

  #lose(reason: string): void {
    this.#state = 'over';
    this.#options.observer?.lost(reason);
    this.#lost.abort(new Error(`leadership is lost: ${reason}`));
  }

  /** True if the lease is ours afterwards. Never rejects. */
  async #attempt(timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    const sentMs = this.#clock.nowMs();
    try {
      const held = await this.#acquireOrRenew({ timeoutMs: Math.max(1_000, timeoutMs), signal });
      // The time of sending: the server's clock may have started then.
      if (held) this.#renewedMs = sentMs;
      return held;
    } catch (error) {
      // Somebody wrote or removed it in between: the cached lease is out of date.
      if (isConflict(error) || isNotFound(error)) return this.#reread(timeoutMs);
      this.#options.observer?.failed(error);
      return false;
    }
  }

  async #acquireOrRenew(call: { timeoutMs: number; signal?: AbortSignal | undefined }): Promise<boolean> {
    const { client } = this.#options;
    // A leader writes straight over what it wrote last; the resourceVersion guards it.
    if (!this.isLeader || !this.#lease) this.#see(await client.get<Lease>(resourceKinds.lease, this.#options, call));
    const lease = this.#lease;
    if (lease && !this.#isFree(lease)) return false;
    this.#see(lease ? await client.update(this.#claimed(lease), call) : await client.create(this.#claimed(), call));
    return true;
  }

  async #reread(timeoutMs: number): Promise<boolean> {
    try {
      this.#see(await this.#options.client.get<Lease>(resourceKinds.lease, this.#options, { timeoutMs: Math.max(1_000, timeoutMs) }));
    } catch (error) {
      this.#options.observer?.failed(error);
    }
    return false;
  }

  #see(lease: Lease | undefined): void {
    const changed = JSON.stringify(lease?.spec) !== JSON.stringify(this.#lease?.spec);
    if (changed) this.#seenMs = this.#clock.nowMs();
    this.#lease = lease;
  }

  /** Ours, nobody's, or unchanged for its whole duration. */
  #isFree({ spec = {} }: Lease): boolean {
    if (!spec.holderIdentity || spec.holderIdentity === this.#options.identity) return true;
    return this.#clock.nowMs() - this.#seenMs >= (spec.leaseDurationSeconds ?? 0) * 1000;
  }

  #claimed(lease?: Lease): Lease {
    const { identity, namespace, name } = this.#options;
    const now = microTime(this.#epochMs());
    const { holderIdentity, acquireTime = now, leaseTransitions = 0, ...rest } = lease?.spec ?? {};
    const spec: LeaseSpec = {
      ...rest,
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(this.#times.leaseDurationMs / 1000),
      renewTime: now,
      ...(holderIdentity === identity || !lease ? { acquireTime, leaseTransitions } : { acquireTime: now, leaseTransitions: leaseTransitions + 1 }),
    };
    return lease ? { ...lease, spec } : { apiVersion: resourceKinds.lease.apiVersion, kind: resourceKinds.lease.kind, metadata: { namespace, name }, spec };
  }

  /** True if there is nothing left to release. */
  async #tryRelease(): Promise<boolean> {
    const call = { timeoutMs: this.#times.retryPeriodMs };
    try {
      const lease = this.#lease;
      if (lease?.spec?.holderIdentity !== this.#options.identity) return true;
      const { holderIdentity: _, ...spec } = lease.spec;
      this.#see(await this.#options.client.update<Lease>({ ...lease, spec: { ...spec, leaseDurationSeconds: 1, renewTime: microTime(this.#epochMs()) } }, call));
      return true;
    } catch (error) {
      this.#options.observer?.failed(error);
      await this.#reread(call.timeoutMs);
      return false;
    }
  }
}

function validated(times: LeaseTimes): LeaseTimes {
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = times;
  if (leaseDurationMs > renewDeadlineMs && renewDeadlineMs > jitterFactor * retryPeriodMs && retryPeriodMs > 0) return times;
  throw new Error(`leader election: lease duration ${leaseDurationMs} ms > renew deadline ${renewDeadlineMs} ms > ${jitterFactor} × retry period ${retryPeriodMs} ms must hold`);
}
