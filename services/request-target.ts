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

/** One percent-encoded path segment as text, or undefined where it is not UTF-8. */
export function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
