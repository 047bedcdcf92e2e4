/** Order of two resourceVersions; undefined if they cannot be compared. Unsigned decimals of any length are ordered (KEP-5504); others are only equal or not. */
export function compareResourceVersions(a: string, b: string): number | undefined {
  if (a === b) return 0;
  if (!isDecimal(a) || !isDecimal(b)) return undefined;
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : 1;
}

const isDecimal = (version: string): boolean => /^[1-9][0-9]*$|^0$/.test(version);
