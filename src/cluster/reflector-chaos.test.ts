import { expect, test } from '@jest/globals';
import { eventually } from '../engine/eventually.ts';
import { FakeApiServer, type Fault, type FakeObject, type StreamFault } from './fake-api-server.ts';
import { Informer } from './informer.ts';
import { resourceKinds } from './resource-kind.ts';
import type { Change } from './store.ts';
import { Transport } from './transport.ts';

const kind = resourceKinds.configMap;
const rounds = 400;
const seed = 20_261_121;

const requestFaults: readonly Fault[] = [
  { kind: 'status', code: 410, reason: 'Expired' },
  { kind: 'status', code: 429, reason: 'TooManyRequests', retryAfterSeconds: 0 },
  { kind: 'status', code: 500, reason: 'InternalError' },
  { kind: 'status', code: 504, reason: 'Timeout', causes: [{ reason: 'ResourceVersionTooLarge' }] },
  { kind: 'status', code: 403, reason: 'Forbidden' },
  { kind: 'reset' },
];
const streamFaults: readonly StreamFault[] = ['end', 'reset', 'status500', 'status410', 'halfLine', 'garbage', 'unknownType', 'wrongKind'];

/** Numerical Recipes' linear congruential generator: the same run for the same seed. */
const randomFrom = (start: number): (() => number) => {
  let state = start;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
};

/** Lets requests and streams go on for a while, never long enough to settle everything. */
const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
};

/** What a consumer that only listens believes; fails on a story that makes no sense. */
class Listener {
  readonly known = new Map<string, string>();

  readonly hear = (change: Change<FakeObject>): void => {
    const { name, uid = '' } = (change.new ?? change.old).metadata;
    const life = this.known.get(name);
    if (life !== change.old?.metadata.uid) throw new Error(`${change.type} ${name}: known ${life}, told ${change.old?.metadata.uid}`);
    if (change.type === 'updated' && uid !== life) throw new Error(`${name}: ${life} became ${uid} without a deletion`);
    if (change.type === 'deleted') this.known.delete(name);
    else this.known.set(name, uid);
  };
}

test(`G1: through ${rounds} rounds of faults the cache comes back to the server's state, and its story is consistent`, async () => {
  const random = randomFrom(seed);
  const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(random() * items.length)];
  const fake = await FakeApiServer.start();
  const transport = new Transport({ credentials: fake.credentials, version: 'test', random });
  const stop = new AbortController();
  const storyErrors: unknown[] = [];
  const times = { backoffMs: 1, backoffCapMs: 5, slowMs: 2, initialEventsMs: 100, shortWatchMs: 1, inactivityMs: 60_000, watchMs: 60_000 };
  const informer = new Informer<FakeObject>({ transport, kind, times, random, freeze: true, onHandlerError: (error) => storyErrors.push(error) });
  const listener = new Listener();
  informer.onChange(listener.hear);
  const stopped = informer.start(stop.signal);

  const disturb = (): void => {
    const name = `c${Math.floor(random() * 6)}`;
    const actions = [
      () => fake.put({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'ns', name }, data: { at: fake.version } }),
      () => fake.delete(kind, { namespace: 'ns', name }),
      () => fake.fail(pick(requestFaults) ?? { kind: 'reset' }, () => true, 1 + Math.floor(random() * 3)),
      () => fake.strike(pick(streamFaults) ?? 'end'),
      () => fake.compact(),
      () => fake.bookmark(),
      () => fake.jump(1_000),
      () => {
        fake.switches.holdBookmarks = !fake.switches.holdBookmarks;
      },
      () => {
        fake.switches.watchList = pick(['supported', 'refused', 'ignored'] as const) ?? 'supported';
      },
      () => {
        fake.switches.pieceBytes = Math.floor(random() * 50);
      },
    ];
    pick(actions)?.();
  };

  try {
    for (let round = 0; round < rounds; round += 1) {
      for (let action = 0; action < 5; action += 1) disturb();
      await turns(random() * 30);
      if (round % 20 !== 19) continue;
      fake.heal();
      fake.switches.holdBookmarks = false;
      await eventually(() => {
        const stored = new Map(fake.stored(kind).map((object) => [object.metadata.name, object.metadata.resourceVersion]));
        expect(new Map(informer.list().map((object) => [object.metadata.name, object.metadata.resourceVersion]))).toEqual(stored);
        expect(new Map(informer.list().map((object) => [object.metadata.name, object.metadata.uid]))).toEqual(listener.known);
      });
    }

    expect(storyErrors).toEqual([]);
    expect(fake.openConnections).toBeLessThanOrEqual(4);
  } finally {
    stop.abort();
    await stopped;
    await transport.close();
    await fake.stop();
  }
}, 60_000);
