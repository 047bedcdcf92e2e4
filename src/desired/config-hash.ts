import { createHash } from 'node:crypto';
import type { MicroserviceSpec } from '../api/microservice.ts';
import type { Version } from './version.ts';

/** The ConfigMaps that the pods of a version read, in the order of their names. */
export const configMapNames = (spec: MicroserviceSpec, version: Version): readonly string[] => uniqueNames(references(spec, version));

/** Those of them without which no pod starts. */
export const requiredConfigMapNames = (spec: MicroserviceSpec, version: Version): readonly string[] => uniqueNames(references(spec, version).filter(({ optional }) => optional !== true));

interface Reference {
  readonly name: string;
  readonly optional?: boolean;
}

const references = (spec: MicroserviceSpec, version: Version): readonly Reference[] => [
  ...(spec.files ?? []).flatMap(({ configMap }) => (configMap === undefined ? [] : [{ name: configMap }])),
  ...(spec.envFrom ?? []).flatMap(({ configMapRef }) => configMapRef ?? []),
  ...version.env.flatMap(({ valueFrom }) => valueFrom?.configMapKeyRef ?? []),
];

const uniqueNames = (given: readonly Reference[]): readonly string[] => [...new Set(given.map(({ name }) => name))].toSorted();

/**
 * A pod template annotation: another content is another template, so the pods roll. While a ConfigMap that they need
 * is missing, the running template keeps the hash it has: its pods hold the content in memory, and new ones could not start.
 */
export function configHash(names: { readonly all: readonly string[]; readonly required: readonly string[] }, contentHashes: ReadonlyMap<string, string>, running: string | undefined): string | undefined {
  if (names.all.length === 0) return undefined;
  const isMissing = names.required.some((name) => !contentHashes.has(name));
  if (isMissing && running !== undefined) return running;
  const content = names.all.map((name) => `${name}=${contentHashes.get(name) ?? ''}`).join('\n');
  return createHash('sha256').update(content).digest('hex').slice(0, 16);
}
