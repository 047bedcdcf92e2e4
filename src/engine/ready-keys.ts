import { Fifo } from './fifo.ts';

export interface ReadyKey {
  readonly key: string;
  readonly priority: number;
  readonly readyAtMs: number;
}

interface Entry extends ReadyKey {
  readonly order: number;
  /** False once the key was raised to another priority; the entry stays where it is and is skipped. */
  live: boolean;
}

/** Every n-th pick takes the key that is ready longest, whatever its priority, so that a low priority cannot starve. */
const oldestEvery = 10;

/** Keys that can run now: by priority, within one priority round robin between groups, within one group by ready time. */
export class ReadyKeys {
  readonly #groupOf: (key: string) => string;
  readonly #entries = new Map<string, Entry>();
  readonly #lanes = new Map<number, Lane>();
  #picks = 0;
  #order = 0;

  constructor(groupOf: (key: string) => string) {
    this.#groupOf = groupOf;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** True if the key was not there. A key that is there is raised, never lowered. */
  add({ key, priority, readyAtMs }: ReadyKey): boolean {
    const present = this.#entries.get(key);
    if (present && present.priority >= priority) return false;
    if (present) present.live = false;
    const entry: Entry = { key, priority, readyAtMs: present?.readyAtMs ?? readyAtMs, order: this.#order++, live: true };
    this.#entries.set(key, entry);
    this.#laneOf(priority).push(this.#groupOf(key), entry);
    return !present;
  }

  take(): ReadyKey | undefined {
    const entry = this.#nextLane()?.take();
    if (!entry) return undefined;
    this.#entries.delete(entry.key);
    if (this.#entries.size === 0) this.#lanes.clear();
    return entry;
  }

  clear(): void {
    this.#entries.clear();
    this.#lanes.clear();
  }

  #laneOf(priority: number): Lane {
    const lane = this.#lanes.get(priority) ?? new Lane();
    this.#lanes.set(priority, lane);
    return lane;
  }

  #nextLane(): Lane | undefined {
    this.#picks += 1;
    const lanes = [...this.#lanes].filter(([, lane]) => lane.peek());
    const rank = this.#picks % oldestEvery === 0 ? ([, lane]: [number, Lane]) => lane.peek()?.order ?? 0 : ([priority]: [number, Lane]) => -priority;
    return lanes.sort((a, b) => rank(a) - rank(b))[0]?.[1];
  }
}

/** One priority. */
class Lane {
  readonly #groups = new Map<string, Fifo<Entry>>();
  readonly #turns = new Fifo<string>();

  push(group: string, entry: Entry): void {
    const present = this.#groups.get(group);
    if (present) return present.push(entry);
    const entries = new Fifo<Entry>();
    entries.push(entry);
    this.#groups.set(group, entries);
    this.#turns.push(group);
  }

  /** The next live entry; drops what is no longer live on the way. */
  peek(): Entry | undefined {
    for (let entries = this.#turn(); entries; entries = this.#turn()) {
      const entry = entries.peek();
      if (entry?.live) return entry;
      entries.shift();
      if (entries.length === 0) this.#endTurn();
    }
    return undefined;
  }

  take(): Entry | undefined {
    const entry = this.peek();
    if (!entry) return undefined;
    this.#turn()?.shift();
    this.#endTurn();
    return entry;
  }

  #turn(): Fifo<Entry> | undefined {
    const group = this.#turns.peek();
    return group === undefined ? undefined : this.#groups.get(group);
  }

  #endTurn(): void {
    const group = this.#turns.shift();
    if (group === undefined) return;
    if (this.#groups.get(group)?.length) this.#turns.push(group);
    else this.#groups.delete(group);
  }
}
