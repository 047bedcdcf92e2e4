import type { KubernetesObject } from '../api/kubernetes-object.ts';
import { isExpired, ProtocolError } from './api-error.ts';
import type { ResourceKind } from './resource-kind.ts';
import type { Query } from './transport.ts';

export interface ObjectList<T extends KubernetesObject> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
}

export interface ListRequest<T extends KubernetesObject> {
  readonly kind: ResourceKind;
  /** Not older than this version; empty: consistent with the latest write. */
  readonly from: string;
  readonly get: (query: Query) => Promise<ListPage<T>>;
  /** Default 500 objects. */
  readonly pageSize?: number;
}

/** One answer to a LIST. */
interface ListPage<T extends KubernetesObject> {
  readonly kind?: string;
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly T[] | null;
}

/** The whole list by pages, or in one piece if the continue token expires on the way. */
export async function listPages<T extends KubernetesObject>(request: ListRequest<T>): Promise<ObjectList<T>> {
  const { from, get, pageSize = 500 } = request;
  const first = await get({ limit: pageSize, ...since(from) });
  const pages = [first];
  try {
    // The token is replaced by each page's own: a last page has none.
    for (let token = first.metadata?.continue; token; token = pages.at(-1)?.metadata?.continue) {
      pages.push(await get({ limit: pageSize, continue: token }));
    }
  } catch (error) {
    if (!isExpired(error)) throw error;
    return joined(request, [await get({})]);
  }
  return joined(request, pages);
}

/** A page limit with a bare version would mean exactly that version, which may be gone. */
const since = (from: string): Query => (from === '' ? {} : { resourceVersion: from, resourceVersionMatch: 'NotOlderThan' });

function joined<T extends KubernetesObject>({ kind }: ListRequest<T>, pages: readonly ListPage<T>[]): ObjectList<T> {
  const resourceVersion = pages[0]?.metadata?.resourceVersion;
  if (!resourceVersion) throw new ProtocolError(`list of ${kind.plural}: no metadata.resourceVersion`);
  for (const page of pages) {
    if (page.kind !== `${kind.kind}List`) throw new ProtocolError(`list of ${kind.plural}: got kind ${page.kind}`);
    if (page.metadata?.resourceVersion !== resourceVersion) throw new ProtocolError(`list of ${kind.plural}: pages of different versions`);
  }
  // Items of a list lack apiVersion and kind, which watch events have.
  const items = pages.flatMap((page) => page.items ?? []).map((item) => ({ ...item, apiVersion: kind.apiVersion, kind: kind.kind }));
  return { items, resourceVersion };
}
