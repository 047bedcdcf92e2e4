import { createHash } from 'node:crypto';
import type { MicroserviceSpec } from '../api/microservice.ts';
import type { Version } from './version.ts';

/** The ConfigMaps that the pods of a version read, in the order of their names. */
export function configMapNames(spec: MicroserviceSpec, version: Version): readonly string[] {
  const names = [
    ...(spec.files ?? []).map((file) => file.configMap),
    ...(spec.envFrom ?? []).map((source) => source.configMapRef?.name),
    ...version.env.map((variable) => variable.valueFrom?.configMapKeyRef?.name),
  ];
  return [...new Set(names.filter((name) => name !== undefined))].toSorted();
}

/**
 * A pod template annotation: another content is another template, so the pods roll. While a ConfigMap is missing the
 * running template keeps the hash it has: its pods hold the content in memory, and new ones could not start.
 */
export function configHash(names: readonly string[], contentHashes: ReadonlyMap<string, string>, running: string | undefined): string | undefined {
  if (names.length === 0) return undefined;
  const isMissing = names.some((name) => !contentHashes.has(name));
  if (isMissing && running !== undefined) return running;
  const content = names.map((name) => `${name}=${contentHashes.get(name) ?? ''}`).join('\n');
  return createHash('sha256').update(content).digest('hex').slice(0, 16);
}
