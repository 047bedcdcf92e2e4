import { asAny, messageType } from './envoy-message.ts';

/** What is read of envoy.service.discovery.v3.DeltaDiscoveryRequest. */
export interface DiscoveryRequest {
  /** Only the first request of a stream carries it. */
  readonly nodeId: string | undefined;
  readonly typeUrl: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** Name to version of what the proxy holds from an earlier stream; only in the first request of a type. */
  readonly initialVersions: ReadonlyMap<string, string>;
  /** Empty in a request that acknowledges nothing. */
  readonly nonce: string;
  /** Set when the response with this nonce was rejected. */
  readonly rejection: string | undefined;
}

const requestType = messageType('envoy.service.discovery.v3.DeltaDiscoveryRequest');
const responseType = messageType('envoy.service.discovery.v3.DeltaDiscoveryResponse');

interface RequestMessage {
  readonly node?: { readonly id?: string } | null;
  readonly typeUrl?: string;
  readonly resourceNamesSubscribe?: readonly string[];
  readonly resourceNamesUnsubscribe?: readonly string[];
  readonly initialResourceVersions?: Readonly<Record<string, string>>;
  readonly responseNonce?: string;
  readonly errorDetail?: { readonly message?: string } | null;
}

export function decodeRequest(bytes: Uint8Array): DiscoveryRequest {
  const message: RequestMessage = requestType.toObject(requestType.decode(bytes));
  return {
    nodeId: message.node?.id,
    typeUrl: message.typeUrl ?? '',
    subscribe: message.resourceNamesSubscribe ?? [],
    unsubscribe: message.resourceNamesUnsubscribe ?? [],
    initialVersions: new Map(Object.entries(message.initialResourceVersions ?? {})),
    nonce: message.responseNonce ?? '',
    rejection: message.errorDetail ? message.errorDetail.message || 'no reason given' : undefined,
  };
}

/** For tests and tools that play a proxy. */
export function encodeRequest(request: Partial<DiscoveryRequest>): Uint8Array {
  return requestType
    .encode({
      ...(request.nodeId === undefined ? {} : { node: { id: request.nodeId } }),
      typeUrl: request.typeUrl ?? '',
      resourceNamesSubscribe: request.subscribe ?? [],
      resourceNamesUnsubscribe: request.unsubscribe ?? [],
      initialResourceVersions: Object.fromEntries(request.initialVersions ?? []),
      responseNonce: request.nonce ?? '',
      ...(request.rejection === undefined ? {} : { errorDetail: { message: request.rejection } }),
    })
    .finish();
}

export interface ResponseEntry {
  readonly name: string;
  readonly version: string;
  readonly typeUrl: string;
  readonly message: Uint8Array;
}

/** A DeltaDiscoveryResponse with this one resource and nothing else: to concatenate serialised messages is to merge them, lists appended. */
export function encodeResponseEntry({ name, version, typeUrl, message }: ResponseEntry): Uint8Array {
  const bytes = responseType.encode({ resources: [{ name, version, resource: asAny(typeUrl, message) }] }).finish();
  return new Uint8Array(bytes); // a copy: the writer's bytes keep the pool alive that they were cut from
}

export interface DiscoveryResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  /** Made by `encodeResponseEntry`. */
  readonly entries: readonly Uint8Array[];
  readonly removed: readonly string[];
}

export function encodeResponse({ typeUrl, nonce, entries, removed }: DiscoveryResponse): Buffer {
  return Buffer.concat([...entries, responseType.encode({ typeUrl, nonce, removedResources: removed }).finish()]);
}
