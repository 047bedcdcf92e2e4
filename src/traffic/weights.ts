export interface WeightInput {
  readonly version: string;
  /** Undefined: removed from the spec, its pods still there. */
  readonly weight: number | undefined;
  readonly isReady: boolean;
  /** It gets requests under the configuration that is in force now. */
  readonly isServing: boolean;
}

/**
 * The weights to put in force. A version without a ready endpoint gets nothing, so that no request is sent where nobody
 * answers. Where that would leave nothing at all, whoever serves now and is ready goes on, the last good version; and where there
 * is none, the weights are as asked, and the answer is 503: a version that was given weight 0 on purpose never steps in.
 */
export function effectiveWeights(inputs: readonly WeightInput[]): ReadonlyMap<string, number> {
  const wanted = inputs.filter((input) => input.weight !== undefined);
  const gated = new Map(wanted.map((input) => [input.version, input.isReady ? (input.weight ?? 0) : 0]));
  if (total(gated) > 0) return gated;
  const lastGood = inputs.filter((input) => input.isReady && (input.isServing || input.weight === undefined));
  if (lastGood.length > 0) return new Map([...gated, ...lastGood.map((input) => [input.version, 1] as const)]);
  return new Map(wanted.map((input) => [input.version, input.weight ?? 0]));
}

const total = (weights: ReadonlyMap<string, number>): number => [...weights.values()].reduce((sum, weight) => sum + weight, 0);
