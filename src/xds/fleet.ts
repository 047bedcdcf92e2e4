import type { ResourceType } from '../traffic/resource.ts';
import type { EncodedResource } from './encode.ts';
import { FleetResources } from './fleet-resources.ts';
import type { ConnectedProxy } from './receipt.ts';
import type { Verdict } from './subscription.ts';

const forgetDrainedAfterMs = 3_600_000;

/** The proxies of one namespace and what they should hold. */
export class Fleet {
  readonly resources = new FleetResources();
  readonly #proxies = new Map<string, ConnectedProxy>();
  /** Node ids, with the time of the request; a proxy that reconnects is still drained. */
  readonly #drained = new Map<string, number>();

  get proxies(): readonly ConnectedProxy[] {
    return [...this.#proxies.values()];
  }

  get isEmpty(): boolean {
    return this.#proxies.size === 0 && this.resources.owners().next().done === true;
  }

  set(owner: string, resources: readonly EncodedResource[], nowMs: number): void {
    const changed = this.resources.set(owner, resources, nowMs);
    if (![...changed.values()].some((names) => names.size > 0)) return;
    for (const { stream } of this.#proxies.values()) stream.changed(changed);
  }

  /** Returns the stream that the same proxy had before, if it is still there. */
  connect(proxy: ConnectedProxy): ConnectedProxy | undefined {
    const previous = this.#proxies.get(proxy.nodeId);
    this.#proxies.set(proxy.nodeId, proxy);
    if (this.#drained.has(proxy.nodeId)) proxy.stream.drain();
    return previous;
  }

  /** False when a newer stream of the same proxy has taken its place. */
  disconnect(proxy: ConnectedProxy): boolean {
    return this.#proxies.get(proxy.nodeId) === proxy && this.#proxies.delete(proxy.nodeId);
  }

  drain(nodeId: string, nowMs: number): void {
    for (const [id, atMs] of this.#drained) if (nowMs - atMs > forgetDrainedAfterMs && !this.#proxies.has(id)) this.#drained.delete(id);
    this.#drained.set(nodeId, nowMs);
    this.#proxies.get(nodeId)?.stream.drain();
  }

  /** The owners whose receipt a verdict may have changed. An owner that is gone left no trace, so a removal concerns everybody. */
  concernedBy(type: ResourceType, verdict: Verdict): Iterable<string> {
    if (verdict.kind === 'none') return [];
    const concerned = new Set<string>();
    for (const name of verdict.names) {
      const resource = this.resources.get(type, name);
      if (resource === undefined) return this.resources.owners();
      if (verdict.kind === 'rejected' || this.resources.owned(resource.owner).proving.includes(resource)) concerned.add(resource.owner);
    }
    return concerned;
  }
}
