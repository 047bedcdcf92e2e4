export interface RequestTarget {
  /** Begins with "/", still percent-encoded. */
  readonly path: string;
  /** What follows "?", or "". */
  readonly search: string;
}

/** The path of a request line in origin-form or absolute-form (RFC 9112, 3.2); undefined for any other, such as `*`. */
export function requestTarget(url: string): RequestTarget | undefined {
  const [, path, search] = /^(?:https?:\/\/[^/?#]*)?([^?#]*)(?:\?([^#]*))?/i.exec(url) ?? [];
  if (path === '' && url !== '' && !url.startsWith('?')) return { path: '/', search: search ?? '' };
  return path?.startsWith('/') ? { path, search: search ?? '' } : undefined;
}

/**
 * One percent-encoded path segment as text, or undefined where it is not UTF-8. Bytes that a client sent without
 * encoding them reach us as Latin-1 characters; they count as the UTF-8 they were.
 */
export function decodeSegment(segment: string): string | undefined {
  const encoded = segment.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16)}`);
  try {
    return decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
}
