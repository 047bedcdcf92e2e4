import { createHash } from 'node:crypto';
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import type { Manifest } from './manifest.ts';
import { ANNOTATION } from './names.ts';
import { quantity } from './quantity.ts';

/** The manifest with the hash of itself as an annotation; before it, where there is one, the owner's uid, which tells whose it was should the owner reference be lost. */
export function stamped(manifest: Manifest): Manifest {
  const hash = createHash('sha256').update(JSON.stringify(manifest)).digest('hex').slice(0, 16);
  const owner = manifest.metadata.ownerReferences?.[0];
  const stamp = owner === undefined ? hash : `${owner.uid}/${hash}`;
  return { ...manifest, metadata: { ...manifest.metadata, annotations: { ...manifest.metadata.annotations, [ANNOTATION.appliedHash]: stamp } } };
}

/**
 * Whether applying the manifest would change nothing: each of its fields has its value in the live object, and the hash
 * says that we have not stopped sending a field since. What others added (defaults, injected sidecars) does not count.
 */
export const matches = (manifest: Manifest, live: KubernetesObject): boolean => holds(manifest, live, false);

function holds(want: unknown, have: unknown, isQuantity: boolean): boolean {
  if (Array.isArray(want)) return Array.isArray(have) && listHolds(want, have);
  if (isRecord(want)) return isRecord(have) && Object.entries(want).every(([key, value]) => fieldHolds(key, value, have[key], isQuantity));
  return want === have || isZeroValue(want, have) || (isQuantity && quantity(want) !== undefined && quantity(want) === quantity(have));
}

const fieldHolds = (key: string, want: unknown, have: unknown, isQuantity: boolean): boolean =>
  holds(want, have, isQuantity || QUANTITY_FIELDS.has(key)) && (!ATOMIC_MAPS.has(key) || sizeOf(want) === sizeOf(have));

/** Here a key that somebody adds changes the meaning: a Service whose selector has one label more selects nobody. */
const ATOMIC_MAPS: ReadonlySet<string> = new Set(['selector', 'matchLabels', 'nodeSelector']);

const sizeOf = (value: unknown): number => (isRecord(value) ? Object.keys(value).length : 0);

/** Go's omitempty leaves these out of what it sends. */
const isZeroValue = (want: unknown, have: unknown): boolean => have === undefined && (want === false || want === 0 || want === '');

/** The API server stores quantities in canonical form: 1000m becomes 1. */
const QUANTITY_FIELDS: ReadonlySet<string> = new Set(['requests', 'limits', 'sizeLimit', 'averageValue']);

/** Lists of objects are matched by the merge keys that Kubernetes uses, so that an injected element between ours is no difference. */
const MERGE_KEYS = ['name', 'mountPath', 'topologyKey', 'uid', 'containerPort', 'port'] as const;

function listHolds(want: readonly unknown[], have: readonly unknown[]): boolean {
  const key = MERGE_KEYS.find((candidate) => want.every((item) => isRecord(item) && candidate in item));
  if (key === undefined) return want.length === have.length && want.every((item, index) => holds(item, have[index], false));
  return want.every((item) => have.some((other) => holds(item, other, false)));
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);
