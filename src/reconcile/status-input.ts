import type { Blocker } from '../api/microservice.ts';
import type { Observed } from '../desired/observed.ts';
import type { Version } from '../desired/version.ts';
import type { Problem } from './ports.ts';

/** What a status is computed from. */
export interface StatusInput {
  /** With the children as the API server returned them. */
  readonly observed: Observed;
  readonly versions: readonly Version[];
  readonly blockers: readonly Blocker[];
  readonly waitsFor: readonly string[];
  /** What stopped the pass. */
  readonly problem: Problem | undefined;
  readonly nowMs: number;
}
