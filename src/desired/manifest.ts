import type { KubernetesObject } from '../api/kubernetes-object.ts';

/** What is sent to the API server: only the fields that we own. */
export interface Manifest extends KubernetesObject {
  readonly [field: string]: unknown;
}

/**
 * Drops undefined values and empty lists and maps, all the way down. The API server would drop them too, and a manifest
 * that differs from its own stored form would be sent again in every pass. An empty selector stays: it selects everything,
 * and none selects nothing.
 */
export function pruned<T>(value: T): T {
  if (Array.isArray(value)) return value.map(pruned) as T;
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value)
    .map(([key, inner]) => [key, pruned(inner)] as const)
    .filter(([key, inner]) => inner !== undefined && (!isEmpty(inner) || MEANT_WHEN_EMPTY.has(key)));
  return Object.fromEntries(entries) as T;
}

const MEANT_WHEN_EMPTY: ReadonlySet<string> = new Set(['labelSelector', 'namespaceSelector', 'preference']);

const isEmpty = (value: unknown): boolean => typeof value === 'object' && value !== null && Object.keys(value).length === 0;
