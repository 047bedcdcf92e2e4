import type { KubernetesObject, ObjectMeta } from '../api/kubernetes-object.ts';
import { ApiError, ProtocolError, type Status } from './api-error.ts';
import type { ResourceKind } from './resource-kind.ts';

export interface ObjectEvent<T extends KubernetesObject> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: T;
}

interface Bookmark {
  readonly type: 'BOOKMARK';
  readonly resourceVersion: string;
  /** All objects that existed when the watch began have been sent. */
  readonly endsInitialEvents: boolean;
}

export type WatchEvent<T extends KubernetesObject> = ObjectEvent<T> | Bookmark;

interface RawEvent<T extends KubernetesObject> {
  readonly type?: string;
  readonly object?: (T & Partial<Status>) | null;
}

/** One line of a watch. Throws ApiError for an in-stream Status and ProtocolError for whatever is not a watch event of this kind. */
export function watchEvent<T extends KubernetesObject>(line: string, kind: ResourceKind): WatchEvent<T> {
  const { type = 'none', object } = parse<T>(line, kind);
  if (type === 'ERROR') throw new ApiError(object?.code ?? 500, object ?? {}, `watch of ${kind.plural}`);
  if (!isOfKind(object, kind)) throw new ProtocolError(`watch of ${kind.plural}: ${type} of kind ${object?.kind} without a version or of another kind`);
  switch (type) {
    case 'BOOKMARK':
      return bookmark(object.metadata);
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type, object };
    default:
      throw new ProtocolError(`watch of ${kind.plural}: unknown event type ${type}`);
  }
}

const bookmark = ({ resourceVersion, annotations }: ObjectMeta & { resourceVersion: string }): Bookmark => ({
  type: 'BOOKMARK',
  resourceVersion,
  endsInitialEvents: annotations?.['k8s.io/initial-events-end'] === 'true',
});

function isOfKind<T extends KubernetesObject>(object: T | null | undefined, { kind }: ResourceKind): object is T & { metadata: { resourceVersion: string } } {
  return object?.kind === kind && Boolean(object.metadata?.resourceVersion);
}

function parse<T extends KubernetesObject>(line: string, kind: ResourceKind): RawEvent<T> {
  try {
    const event: RawEvent<T> | null = JSON.parse(line);
    if (typeof event === 'object' && event !== null) return event;
  } catch {
    // Falls through: broken JSON and JSON of another shape are the same fault.
  }
  throw new ProtocolError(`watch of ${kind.plural}: a line is not an event: ${line.slice(0, 200)}`);
}
