/** meta/v1 MicroTime: exactly six fractional digits; the API server refuses the three of a JavaScript date. */
export const microTime = (epochMs: number): string => new Date(epochMs).toISOString().replace('Z', '000Z');
