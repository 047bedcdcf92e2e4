const DECIMAL_EXPONENT: Readonly<Record<string, number>> = { '': 0, n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const BINARY_FACTOR: Readonly<Record<string, number>> = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60 };

/**
 * The value of a Kubernetes quantity ("100m", "1.5Gi", 2), or undefined if it is none. Exact enough to compare, not to calculate:
 * the suffix becomes part of the number that is parsed, since 9 * 0.001 is not 0.009.
 */
export function quantity(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return undefined;
  const [, digits, exponent, suffix = ''] = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|([numkMGTPE]|[KMGTPE]i))?$/.exec(value) ?? [];
  if (digits === undefined) return undefined;
  const factor = BINARY_FACTOR[suffix];
  return factor === undefined ? Number(`${digits}e${exponent ?? DECIMAL_EXPONENT[suffix]}`) : Number(digits) * factor;
}
