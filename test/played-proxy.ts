import { setTimeout as delay } from 'node:timers/promises';
import { Client, credentials, type ClientDuplexStream } from '@grpc/grpc-js';
import { encodeRequest, type DiscoveryRequest } from '../src/xds/discovery-message.ts';
import { readResponse, type Received } from '../src/xds/fake-proxy.ts';
import { resourceTypes, typeUrlOf } from '../src/xds/resource-type.ts';
import type { ResourceType } from '../src/traffic/resource.ts';

export interface PlayedProxyOptions {
  /** The uid of the pod that it stands for. */
  readonly nodeId: string;
  /** PEM, as the fleet's Secret holds them. */
  readonly tls: { readonly ca: Buffer; readonly key: Buffer; readonly certificate: Buffer };
  /** The DNS name in the server's certificate. */
  readonly serverName: string;
  /** On 127.0.0.1. */
  readonly port: number;
}

const METHOD = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const RECONNECT_MS = 200;

/** A proxy at the operator's real port that subscribes as Envoy does, acknowledges everything, and comes back when the stream ends. */
export class PlayedProxy {
  readonly #options: PlayedProxyOptions;
  /** Name to version of what it holds. */
  readonly #held = new Map<ResourceType, Map<string, string>>(resourceTypes.map((type) => [type, new Map()]));
  readonly #subscribed = new Map<ResourceType, Set<string>>(resourceTypes.map((type) => [type, new Set()]));
  #call: ClientDuplexStream<Buffer, Buffer> | undefined;
  #isStopped = false;

  constructor(options: PlayedProxyOptions) {
    this.#options = options;
    void this.#live();
  }

  stop(): void {
    this.#isStopped = true;
    this.#call?.cancel();
  }

  async #live(): Promise<void> {
    while (!this.#isStopped) {
      await this.#stream();
      await delay(RECONNECT_MS);
    }
  }

  /** Resolves when the stream has ended, however. */
  async #stream(): Promise<void> {
    const { tls, serverName, port, nodeId } = this.#options;
    const target = { 'grpc.ssl_target_name_override': serverName, 'grpc.default_authority': serverName };
    const client = new Client(`127.0.0.1:${port}`, credentials.createSsl(tls.ca, tls.key, tls.certificate), target);
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(METHOD, (bytes) => bytes, (bytes) => bytes);
    this.#call = call;
    const ended = new Promise<void>((resolve) => {
      call.once('error', () => resolve()).once('end', () => resolve());
    });
    call.on('data', (bytes: Buffer) => this.#receive(readResponse(bytes)));
    for (const names of this.#subscribed.values()) names.clear();
    for (const type of ['Cluster', 'Listener'] as const) this.#send({ nodeId, typeUrl: typeUrlOf(type), initialVersions: new Map(this.#of(type)) });
    this.#followSubscriptions(true);
    await ended;
    client.close();
  }

  #send(request: Partial<DiscoveryRequest>): void {
    this.#call?.write(Buffer.from(encodeRequest(request)));
  }

  #receive({ type, nonce, resources, removed }: Received): void {
    for (const [name, version] of resources) this.#of(type).set(name, version);
    for (const name of removed) this.#of(type).delete(name);
    this.#send({ typeUrl: typeUrlOf(type), nonce });
    this.#followSubscriptions(false);
  }

  /** Endpoints by the clusters that it has, routes by the listeners, which have the routes' names. */
  #followSubscriptions(isFirst: boolean): void {
    for (const [type, source] of [['ClusterLoadAssignment', 'Cluster'], ['RouteConfiguration', 'Listener']] as const) {
      const needed = new Set(this.#of(source).keys());
      const known = this.#subscribed.get(type) ?? new Set();
      const subscribe = [...needed].filter((name) => !known.has(name));
      const unsubscribe = [...known].filter((name) => !needed.has(name));
      this.#subscribed.set(type, needed);
      for (const name of unsubscribe) this.#of(type).delete(name);
      if (subscribe.length + unsubscribe.length > 0) this.#send({ typeUrl: typeUrlOf(type), subscribe, unsubscribe, ...(isFirst ? { initialVersions: new Map(this.#of(type)) } : {}) });
    }
  }

  #of(type: ResourceType): Map<string, string> {
    const held = this.#held.get(type) ?? new Map<string, string>();
    this.#held.set(type, held);
    return held;
  }
}
