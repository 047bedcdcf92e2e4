import type { Place } from './forward.ts';

/** `api` needs no root: a control plane without a node. `node` is a whole one-node cluster. */
export type Profile = 'api' | 'node';

/** What each profile starts. */
export interface StartedLab {
  readonly server: string;
  loadImage(path: string): Promise<void>;
  forward(target: Place, port: number): Promise<number>;
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}
