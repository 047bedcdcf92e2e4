import type { KubernetesObject } from '../api/kubernetes-object.ts';
import type { Microservice, MicroserviceStatus } from '../api/microservice.ts';
import type { Manifest } from '../desired/manifest.ts';
import type { Observed } from '../desired/observed.ts';

/** What a pass needs from a cluster. Each call may throw; engine/ retries with backoff. */
export interface ReconcilePorts {
  /** From the caches. Undefined: the Microservice is gone. 'stale': the caches have not seen our own last write yet. */
  observe(namespace: string, name: string): Observed | undefined | 'stale';
  /** From the API server, bypassing caches: whether a name is free. */
  get(manifest: Manifest): Promise<KubernetesObject | undefined>;
  /** Server-side apply. Returns the object as stored. */
  apply(manifest: Manifest, options: { readonly fieldManager: string; readonly force: boolean }): Promise<KubernetesObject>;
  /** With the uid as precondition; an object that is gone already is a success. */
  remove(object: KubernetesObject): Promise<void>;
  writeStatus(microservice: Microservice, status: MicroserviceStatus): Promise<void>;
  /** Fire and forget. */
  event(about: KubernetesObject, event: OperatorEvent): void;
  /** The reason and message of a refusal that retrying cannot change, or undefined for any other error. */
  refusal(error: unknown): Problem | undefined;
  nowMs(): number;
}

export interface OperatorEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly action: string;
  readonly message: string;
}

export interface Problem {
  readonly reason: string;
  readonly message: string;
}
