import type { ResourceType } from '../traffic/resource.ts';

/** What happens between the server and its proxies, for logs and metrics. */
export type AdsEvent =
  /** A stream that was not let in. */
  | { readonly kind: 'refused'; readonly peer: string; readonly reason: string }
  | { readonly kind: 'connected'; readonly namespace: string; readonly nodeId: string }
  | { readonly kind: 'disconnected'; readonly namespace: string; readonly nodeId: string }
  /** `elapsedMs` from the response to its ACK. */
  | { readonly kind: 'acknowledged'; readonly namespace: string; readonly nodeId: string; readonly type: ResourceType; readonly count: number; readonly elapsedMs: number }
  /** A NACK. With more than one name the bad resource is among them and is looked for. */
  | { readonly kind: 'rejected'; readonly namespace: string; readonly nodeId: string; readonly type: ResourceType; readonly names: readonly string[]; readonly message: string }
  /** A proxy broke the protocol and its stream was ended. */
  | { readonly kind: 'failed'; readonly namespace: string; readonly nodeId: string | undefined; readonly reason: string };
