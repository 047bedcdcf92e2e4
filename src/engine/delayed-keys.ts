import type { Clock } from './clock.ts';

interface Entry {
  readonly key: string;
  dueMs: number;
  priority: number;
  /** Its place in the heap. */
  index: number;
}

/** Keys that wait for their time: one heap, one timer. */
export class DelayedKeys {
  readonly #clock: Clock;
  readonly #onDue: (key: string, priority: number) => void;
  readonly #heap: Entry[] = [];
  readonly #byKey = new Map<string, Entry>();
  #timer: { readonly dueMs: number; readonly cancel: () => void } | undefined;

  constructor(clock: Clock, onDue: (key: string, priority: number) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** A key that waits already keeps the earlier time and the higher priority. */
  add(key: string, dueMs: number, priority: number): void {
    const present = this.#byKey.get(key);
    if (present) {
      present.priority = Math.max(present.priority, priority);
      present.dueMs = Math.min(present.dueMs, dueMs);
      this.#rise(present);
    } else {
      const entry = { key, dueMs, priority, index: this.#heap.length };
      this.#heap.push(entry);
      this.#byKey.set(key, entry);
      this.#rise(entry);
    }
    this.#arm();
  }

  /** The priority it waited with, or undefined if it did not wait. */
  remove(key: string): number | undefined {
    const entry = this.#byKey.get(key);
    if (!entry) return undefined;
    this.#byKey.delete(key);
    const last = this.#heap.pop();
    if (last && last !== entry) {
      this.#place(last, entry.index);
      this.#rise(last);
      this.#sink(last);
    }
    return entry.priority;
  }

  clear(): void {
    this.#heap.length = 0;
    this.#byKey.clear();
    this.#arm();
  }

  #arm(): void {
    const first = this.#heap[0];
    if (first && this.#timer && this.#timer.dueMs <= first.dueMs) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (!first) return;
    const cancel = this.#clock.after(first.dueMs - this.#clock.nowMs(), () => this.#fire());
    this.#timer = { dueMs: first.dueMs, cancel };
  }

  #fire(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.nowMs();
    for (let first = this.#heap[0]; first && first.dueMs <= nowMs; first = this.#heap[0]) {
      this.remove(first.key);
      this.#onDue(first.key, first.priority);
    }
    this.#arm();
  }

  #place(entry: Entry, index: number): void {
    this.#heap[index] = entry;
    entry.index = index;
  }

  #rise(entry: Entry): void {
    while (entry.index > 0) {
      const parent = this.#heap[(entry.index - 1) >> 1];
      if (!parent || parent.dueMs <= entry.dueMs) return;
      this.#swap(entry, parent);
    }
  }

  #sink(entry: Entry): void {
    for (let child = this.#earlierChild(entry.index); child && child.dueMs < entry.dueMs; child = this.#earlierChild(entry.index)) {
      this.#swap(entry, child);
    }
  }

  #earlierChild(index: number): Entry | undefined {
    const left = this.#heap[2 * index + 1];
    const right = this.#heap[2 * index + 2];
    return left && right && right.dueMs < left.dueMs ? right : left;
  }

  #swap(a: Entry, b: Entry): void {
    const index = a.index;
    this.#place(a, b.index);
    this.#place(b, index);
  }
}
