import { status, type ServerDuplexStream } from '@grpc/grpc-js';
import type { AdsEvent } from './ads-event.ts';
import { AdsStream } from './ads-stream.ts';
import type { Clock } from './clock.ts';
import { decodeRequest, type DiscoveryRequest } from './discovery-message.ts';
import type { Fleet } from './fleet.ts';
import type { ConnectedProxy } from './receipt.ts';

export type AdsCall = ServerDuplexStream<Buffer, Buffer>;

export interface AdsConnectionOptions {
  readonly namespace: string;
  readonly fleet: Fleet;
  readonly call: AdsCall;
  readonly clock: Clock;
  readonly removalDelayMs: number;
  readonly observe: (event: AdsEvent) => void;
  /** Owners whose receipt may have changed. */
  readonly report: (owners: Iterable<string>) => void;
  readonly closed: () => void;
}

/** One gRPC call, with its timer, in front of an AdsStream. It belongs to the fleet from the first request on, which names the node. */
export class AdsConnection {
  readonly stream: AdsStream;
  readonly #options: AdsConnectionOptions;
  #proxy: ConnectedProxy | undefined;
  #cancelTimer: () => void = () => {};
  #closed = false;

  constructor(options: AdsConnectionOptions) {
    this.#options = options;
    const { fleet, call, clock, removalDelayMs } = options;
    this.stream = new AdsStream({
      fleet: fleet.resources,
      nowMs: clock.now,
      removalDelayMs,
      write: (response) => call.write(response),
      wakeAt: (dueMs) => this.#wakeAt(dueMs),
    });
    call.on('data', (bytes: Buffer) => this.#receive(bytes));
    call.on('drain', () => this.stream.resume());
    call.on('end', () => this.end(status.OK, ''));
    call.on('cancelled', () => this.#close());
    call.on('error', () => this.#close());
    call.on('close', () => this.#close());
  }

  end(code: status, details: string): void {
    if (this.#closed) return;
    this.#close();
    if (code === status.OK) this.#options.call.end();
    else this.#options.call.emit('error', { code, details });
  }

  #receive(bytes: Buffer): void {
    if (this.#closed) return;
    try {
      this.#answer(decodeRequest(bytes));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.observe({ kind: 'failed', namespace: this.#options.namespace, nodeId: this.#proxy?.nodeId, reason });
      this.end(status.INVALID_ARGUMENT, reason);
    }
  }

  #answer(request: DiscoveryRequest): void {
    const { fleet, report } = this.#options;
    const { nodeId } = this.#proxy ?? this.#connect(request.nodeId);
    const verdict = this.stream.receive(request);
    if (verdict === undefined) return;
    this.#observe(verdict, nodeId);
    report(request.initialVersions.size > 0 ? fleet.resources.owners() : fleet.concernedBy(verdict.type, verdict));
  }

  #connect(nodeId: string | undefined): ConnectedProxy {
    if (nodeId === undefined || nodeId === '' || nodeId.length > 253) throw new Error('the first request must carry node.id, of at most 253 characters');
    const { namespace, fleet, clock, observe, report } = this.#options;
    this.#proxy = { nodeId, connectedAtMs: clock.now(), stream: this.stream, end: () => this.end(status.ABORTED, 'the same node.id has opened a newer stream') };
    fleet.connect(this.#proxy)?.end();
    observe({ kind: 'connected', namespace, nodeId });
    report(fleet.resources.owners());
    return this.#proxy;
  }

  #observe(verdict: NonNullable<ReturnType<AdsStream['receive']>>, nodeId: string): void {
    const { namespace, observe } = this.#options;
    const { type } = verdict;
    if (verdict.kind === 'acknowledged') observe({ kind: 'acknowledged', namespace, nodeId, type, count: verdict.names.length, elapsedMs: verdict.elapsedMs });
    if (verdict.kind === 'rejected') observe({ kind: 'rejected', namespace, nodeId, type, names: verdict.names, message: verdict.message });
  }

  #wakeAt(dueMs: number | undefined): void {
    this.#cancelTimer();
    const { clock } = this.#options;
    this.#cancelTimer = dueMs === undefined || this.#closed ? () => {} : clock.after(Math.max(0, dueMs - clock.now()), () => this.stream.pump());
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTimer();
    const { namespace, fleet, observe, report, closed } = this.#options;
    if (this.#proxy !== undefined) {
      observe({ kind: 'disconnected', namespace, nodeId: this.#proxy.nodeId });
      if (fleet.disconnect(this.#proxy)) report(fleet.resources.owners());
    }
    closed();
  }
}
