import { Server, status, type ServerDuplexStream, type ServiceDefinition } from '@grpc/grpc-js';
import type { Resource } from '../traffic/resource.ts';
import { AdsConnection, type AdsCall } from './ads-connection.ts';
import type { AdsEvent } from './ads-event.ts';
import type { Clock } from './clock.ts';
import { encodeResource } from './encode.ts';
import { Fleet } from './fleet.ts';
import { namespaceOf } from './proxy-identity.ts';
import { holdersOf, receiptOf, type Holder, type Receipt } from './receipt.ts';
import { ReplaceableCertificate, type ServerCertificate } from './server-certificate.ts';

export interface AdsServerOptions {
  readonly certificate: ServerCertificate;
  /** How long a listener or cluster stays on a proxy after nothing wants it: at least the longest time that a request may take. */
  readonly removalDelayMs: number;
  readonly clock: Clock;
  /** For logs and metrics. Must not throw. */
  readonly observe: (event: AdsEvent) => void;
  /** Streams that one namespace may have open. Default 256. */
  readonly maxStreamsPerNamespace?: number;
}

export type ReceiptCallback = (namespace: string, owner: string) => void;

const passThrough = (bytes: Buffer): Buffer => bytes;

/** envoy.service.discovery.v3.AggregatedDiscoveryService, only its delta method, with messages as bytes. */
const aggregatedDiscoveryService: ServiceDefinition = {
  DeltaAggregatedResources: {
    path: '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
    requestStream: true,
    responseStream: true,
    requestSerialize: passThrough,
    requestDeserialize: passThrough,
    responseSerialize: passThrough,
    responseDeserialize: passThrough,
  },
};

/** A proxy that reconnects lists everything it holds in one request, which exceeds the default of 4 MiB in a large fleet. */
const serverOptions = {
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
  'grpc.max_concurrent_streams': 16,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
};

/**
 * Tells the Envoy fleets what to do, by delta ADS over mTLS, and knows what each proxy has acknowledged.
 * A proxy's namespace is that of its certificate, never what it says; its node id only tells it from its siblings.
 */
export class AdsServer {
  readonly #options: AdsServerOptions;
  readonly #credentials: ReplaceableCertificate;
  readonly #fleets = new Map<string, Fleet>();
  readonly #connections = new Map<AdsConnection, string>();
  readonly #callbacks: ReceiptCallback[] = [];
  readonly #server = new Server(serverOptions);
  #ready = false;

  constructor(options: AdsServerOptions) {
    this.#options = options;
    this.#credentials = new ReplaceableCertificate(options.certificate);
    this.#server.addService(aggregatedDiscoveryService, {
      DeltaAggregatedResources: (call: ServerDuplexStream<Buffer, Buffer>) => this.#accept(call),
    });
  }

  /** Resolves with the port; 0 asks for a free one. */
  listen({ host, port }: { readonly host: string; readonly port: number }): Promise<number> {
    const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, this.#credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
    });
  }

  /** Ends all streams at once: the proxies keep what they hold and look for the next server. */
  close(): void {
    for (const connection of this.#connections.keys()) connection.end(status.UNAVAILABLE, 'the server is stopping');
    this.#server.forceShutdown();
  }

  /** From now on proxies are answered. Call it when `set` has been called for everything that exists: what is missing then is removed from the proxies. */
  ready(): void {
    this.#ready = true;
    for (const connection of this.#connections.keys()) connection.stream.start();
  }

  /** For connections made from now on. Throws, and changes nothing, when the certificate cannot be used. */
  replaceCertificate(certificate: ServerCertificate): void {
    this.#credentials.replace(certificate);
  }

  /**
   * What the proxies of the namespace should hold for this owner, in place of all that was set before. Resources of unchanged bytes cause nothing.
   * An empty list removes everything and still reports receipts; undefined forgets the owner as well.
   * Throws, and changes nothing, when a body does not fit its message or another owner has one of the names.
   */
  set(namespace: string, owner: string, resources: readonly Resource[] | undefined): void {
    const encoded = (resources ?? []).map((resource) => encodeResource(resource));
    const fleet = this.#fleet(namespace);
    fleet.set(owner, encoded, this.#options.clock.now());
    if (resources === undefined) fleet.resources.forget(owner);
    this.#discardIfEmpty(namespace, fleet);
  }

  receipt(namespace: string, owner: string): Receipt {
    const fleet = this.#fleets.get(namespace) ?? new Fleet();
    return receiptOf(fleet.resources, owner, fleet.proxies);
  }

  /**
   * The connected proxies that hold a resource, wanted or not. A version may be deleted when every Ready fleet pod is among `proxies` and nobody
   * holds its cluster. A proxy that has not yet said what it holds counts as a holder.
   */
  holders(namespace: string, type: 'Cluster' | 'Listener', name: string): readonly Holder[] {
    return holdersOf(type, name, this.#fleets.get(namespace)?.proxies ?? []);
  }

  proxies(namespace: string): readonly { readonly nodeId: string; readonly connectedAtMs: number; readonly draining: boolean }[] {
    const proxies = this.#fleets.get(namespace)?.proxies ?? [];
    return proxies.map(({ nodeId, connectedAtMs, stream }) => ({ nodeId, connectedAtMs, draining: stream.draining }));
  }

  /** Takes all listeners from a proxy that is about to end, so that it closes its connections politely. Holds for later streams of the same node id. */
  drain(namespace: string, nodeId: string): void {
    this.#fleets.get(namespace)?.drain(nodeId, this.#options.clock.now());
  }

  /** Called when a receipt or a holder may have changed: ACK, NACK, a proxy came or went. Often for many owners at once, so it must be cheap and must not throw. */
  onReceipt(callback: ReceiptCallback): void {
    this.#callbacks.push(callback);
  }

  #accept(call: AdsCall): void {
    const namespace = namespaceOf(call.getAuthContext().sslPeerCertificate);
    const refusal = this.#refusalOf(namespace);
    if (namespace === undefined || refusal !== undefined) {
      this.#options.observe({ kind: 'refused', peer: call.getPeer(), reason: refusal?.details ?? '' });
      call.emit('error', refusal);
      return;
    }
    const fleet = this.#fleet(namespace);
    const connection = new AdsConnection({
      ...this.#options,
      namespace,
      fleet,
      call,
      report: (owners) => this.#report(namespace, owners),
      closed: () => this.#closed(connection, namespace, fleet),
    });
    this.#connections.set(connection, namespace);
    if (this.#ready) connection.stream.start();
  }

  #refusalOf(namespace: string | undefined): { readonly code: status; readonly details: string } | undefined {
    if (namespace === undefined) return { code: status.PERMISSION_DENIED, details: 'the client certificate is not that of a fleet' };
    const open = [...this.#connections.values()].filter((other) => other === namespace).length;
    if (open < (this.#options.maxStreamsPerNamespace ?? 256)) return undefined;
    return { code: status.RESOURCE_EXHAUSTED, details: `namespace ${namespace} has ${open} streams open` };
  }

  #closed(connection: AdsConnection, namespace: string, fleet: Fleet): void {
    this.#connections.delete(connection);
    this.#discardIfEmpty(namespace, fleet);
  }

  #report(namespace: string, owners: Iterable<string>): void {
    for (const owner of owners) for (const callback of this.#callbacks) callback(namespace, owner);
  }

  #fleet(namespace: string): Fleet {
    const fleet = this.#fleets.get(namespace) ?? new Fleet();
    this.#fleets.set(namespace, fleet);
    return fleet;
  }

  #discardIfEmpty(namespace: string, fleet: Fleet): void {
    // A stream that has not yet named its node belongs to the fleet already.
    if (fleet.isEmpty && ![...this.#connections.values()].includes(namespace)) this.#fleets.delete(namespace);
  }
}
