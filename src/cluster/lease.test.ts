import { expect, test } from '@jest/globals';
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import { ManualClock } from '../engine/manual-clock.ts';
import { ApiError, ConnectionError } from './api-error.ts';
import type { CallOptions } from './client.ts';
import { LeaderElection, type Lease, type LeaderElectionOptions } from './lease.ts';
import { microTime } from './micro-time.ts';

/** One Lease with optimistic locking. `down` makes every call fail; `hangs` makes it wait for its time to run out. */
class LeaseServer {
  lease: Lease | undefined;
  down = false;
  hangs = false;
  writes = 0;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  readonly client: LeaderElectionOptions['client'] = {
    get: async <T extends KubernetesObject>(_: unknown, __: unknown, call?: CallOptions): Promise<T | undefined> => this.#answer<T>(() => this.lease, call),
    create: async <T extends KubernetesObject>(object: T, call?: CallOptions): Promise<T> => this.#answer<T>(() => (this.lease ? this.#conflict() : this.#store(object)), call),
    update: async <T extends KubernetesObject>(object: T, call?: CallOptions): Promise<T> =>
      this.#answer<T>(() => {
        if (!this.lease) throw new ApiError(404, { reason: 'NotFound' }, 'PUT');
        return object.metadata.resourceVersion === this.lease.metadata.resourceVersion ? this.#store(object) : this.#conflict();
      }, call),
  };

  /** Somebody else's edit. */
  edit(change: (lease: Lease) => Lease): void {
    if (this.lease) this.#store(change(this.lease));
  }

  async #answer<T>(run: () => unknown, { timeoutMs = 0 }: CallOptions = {}): Promise<T> {
    if (this.hangs) {
      await new Promise<void>((resolve) => {
        this.#clock.after(timeoutMs, resolve);
      });
      throw new ConnectionError('no answer in time');
    }
    if (this.down) throw new ConnectionError('refused');
    const answer: unknown = run();
    return JSON.parse(JSON.stringify(answer ?? null)) ?? undefined;
  }

  #store(object: KubernetesObject): KubernetesObject {
    this.writes += 1;
    this.lease = { ...object, metadata: { ...object.metadata, resourceVersion: `${this.writes}` } };
    return this.lease;
  }

  #conflict(): never {
    throw new ApiError(409, { reason: 'Conflict' }, 'PUT');
  }
}

interface Rig {
  readonly election: LeaderElection;
  readonly events: string[];
  /** Resolves when it leads. */
  readonly acquired: Promise<void>;
}

const setup = () => {
  const clock = new ManualClock();
  const server = new LeaseServer(clock);
  const candidate = (identity: string, more: Partial<LeaderElectionOptions> = {}): Rig => {
    const events: string[] = [];
    const observer = { acquired: () => events.push('acquired'), lost: (reason: string) => events.push(`lost: ${reason}`), failed: () => events.push('failed') };
    const election = new LeaderElection({ client: server.client, namespace: 'ns', name: 'operator', identity, clock, epochMs: () => 1_700_000_000_123 + clock.nowMs(), random: () => 0, observer, ...more });
    return { election, events, acquired: election.acquire(new AbortController().signal) };
  };
  return { clock, server, candidate };
};

/** Lets everything that waits for answers go on. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
};

const advance = async (clock: ManualClock, ms: number): Promise<void> => {
  for (let passed = 0; passed < ms; passed += 500) {
    clock.advance(500);
    await settle();
  }
};

test('L3: the lease is created with times of six digits, and renewed by its resourceVersion alone', async () => {
  const { clock, server, candidate } = setup();
  const { election, acquired } = candidate('a');
  await acquired;
  expect(server.lease?.spec).toEqual({ holderIdentity: 'a', leaseDurationSeconds: 15, acquireTime: microTime(1_700_000_000_123), renewTime: microTime(1_700_000_000_123), leaseTransitions: 0 });
  expect(server.lease?.spec?.renewTime).toMatch(/^2023-11-14T22:13:20\.123000Z$/);
  await advance(clock, 4_000);
  expect(server.lease?.spec).toMatchObject({ acquireTime: microTime(1_700_000_000_123), renewTime: microTime(1_700_000_004_123), leaseTransitions: 0 });
  expect([server.writes, election.mayWrite(), election.isHealthy]).toEqual([3, true, true]);
  server.edit((lease) => ({ ...lease, metadata: { ...lease.metadata, annotations: { edited: 'by hand' } } }));
  await advance(clock, 4_000);
  expect([election.isLeader, server.lease?.metadata.annotations, election.mayWrite()]).toEqual([true, { edited: 'by hand' }, true]);
});

test('L2: a stranger\'s lease is waited for a full duration of my own clock, whatever times it carries', async () => {
  const { clock, server, candidate } = setup();
  await candidate('a').acquired;
  server.edit((lease) => ({ ...lease, spec: { ...lease.spec, holderIdentity: 'gone', renewTime: microTime(0) } }));
  const late = candidate('b');
  await settle();
  await advance(clock, 14_500);
  expect(late.election.isLeader).toBe(false);
  await advance(clock, 3_000);
  expect([late.election.isLeader, server.lease?.spec?.leaseTransitions]).toEqual([true, 1]);
});

test('two candidates: one leads, the other takes over when it is silent for the duration', async () => {
  const { clock, server, candidate } = setup();
  const first = candidate('a');
  await first.acquired;
  const second = candidate('b', { client: { ...server.client } });
  await advance(clock, 60_000);
  expect([first.election.isLeader, second.election.isLeader, second.election.holder]).toEqual([true, false, 'a']);
  await first.election.release();
  expect(server.lease?.spec).toMatchObject({ leaseDurationSeconds: 1 });
  expect(server.lease?.spec).not.toHaveProperty('holderIdentity');
  await advance(clock, 2_500);
  expect([first.election.isLeader, first.election.mayWrite(), second.election.isLeader]).toEqual([false, false, true]);
  expect(first.election.lost.aborted).toBe(false);
});

test.each(['down', 'hangs'] as const)('L4: a leader whose server %s gives up within its deadline, before the others may start', async (fault) => {
  const { clock, server, candidate } = setup();
  const { election, events, acquired } = candidate('a');
  await acquired;
  server[fault] = true;
  await advance(clock, 9_000);
  expect(election.isLeader).toBe(true);
  await advance(clock, 3_500);
  expect([election.isLeader, election.mayWrite(), election.lost.aborted]).toEqual([false, false, true]);
  expect(election.lost.reason).toEqual(new Error('leadership is lost: not renewed within 10000 ms'));
  expect(events.at(-1)).toBe('lost: not renewed within 10000 ms');
});

test('L4: a leader that finds another holder stops at once', async () => {
  const { clock, server, candidate } = setup();
  const { election, acquired } = candidate('a');
  await acquired;
  server.edit((lease) => ({ ...lease, spec: { ...lease.spec, holderIdentity: 'b' } }));
  await advance(clock, 2_500);
  expect([election.isLeader, election.lost.reason]).toEqual([false, new Error('leadership is lost: the lease is held by b')]);
});

test('L5: after a stall nothing may be written until the lease has been checked', async () => {
  const { clock, server, candidate } = setup();
  const { election, acquired } = candidate('a');
  await acquired;
  // The whole stall is one turn of the loop: no timer runs before it is over.
  clock.advance(12_000);
  expect([election.isLeader, election.mayWrite()]).toEqual([true, false]);
  await settle();
  await advance(clock, 2_500);
  expect([election.isLeader, election.mayWrite(), server.lease?.spec?.holderIdentity]).toEqual([true, true, 'a']);
});

test('L6: a leader that has not renewed for too long is not healthy; a standby always is', async () => {
  const { clock, server, candidate } = setup();
  const first = candidate('a');
  await first.acquired;
  const standby = candidate('b');
  await settle();
  server.hangs = true;
  clock.advance(25_000);
  expect([first.election.isHealthy, standby.election.isHealthy]).toEqual([false, true]);
});

test('a lease that somebody removed is made again', async () => {
  const { clock, server, candidate } = setup();
  const { election, acquired } = candidate('a');
  await acquired;
  server.lease = undefined;
  await advance(clock, 4_500);
  expect([election.isLeader, server.lease]).toMatchObject([true, { spec: { holderIdentity: 'a' } }]);
});

test('L4: release reads again after a conflict, and never fails', async () => {
  const { server, candidate } = setup();
  const conflicted = candidate('a');
  await conflicted.acquired;
  server.edit((lease) => ({ ...lease, metadata: { ...lease.metadata, annotations: { edited: 'by hand' } } }));
  await conflicted.election.release();
  expect(server.lease?.spec).not.toHaveProperty('holderIdentity');
  const unreachable = candidate('b');
  await unreachable.acquired;
  server.down = true;
  await unreachable.election.release();
  expect(unreachable.election.isLeader).toBe(false);
});

test('acquiring can be stopped, and goes on through failures', async () => {
  const { clock, server, candidate } = setup();
  const stop = new AbortController();
  server.down = true;
  const { election, events } = candidate('a');
  await settle();
  await advance(clock, 6_000);
  expect(events).toEqual(['failed', 'failed', 'failed', 'failed']);
  server.down = false;
  await advance(clock, 2_000);
  expect(election.isLeader).toBe(true);
  const other = new LeaderElection({ client: server.client, namespace: 'ns', name: 'operator', identity: 'b', clock });
  const acquiring = other.acquire(stop.signal);
  stop.abort(new Error('stopping'));
  await expect(acquiring).rejects.toThrow('stopping');
  await expect(election.acquire(stop.signal)).rejects.toThrow('used once');
});

test('L1: impossible times are refused', () => {
  const { server } = setup();
  const make = (times: LeaderElectionOptions['times']): LeaderElection => new LeaderElection({ client: server.client, namespace: 'ns', name: 'n', identity: 'a', ...(times ? { times } : {}) });
  expect(() => make({ renewDeadlineMs: 15_000 })).toThrow('lease duration 15000 ms > renew deadline 15000 ms');
  expect(() => make({ retryPeriodMs: 9_000 })).toThrow('1.2 × retry period 9000 ms must hold');
});
