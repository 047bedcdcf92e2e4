import type * as x509 from '@peculiar/x509';

/**
 * The library, loaded on first use: an operator that starts with valid certificates does without it.
 *
 * It brings the injection container tsyringe, which refuses to load unless the metadata API of the `reflect-metadata` package is there.
 * x509 stores no metadata in it, so "nothing stored" is the right answer to every question.
 */
export async function loadX509(): Promise<typeof x509> {
  if (!('getMetadata' in Reflect)) Object.assign(Reflect, { getMetadata: () => undefined, getOwnMetadata: () => undefined });
  return import('@peculiar/x509');
}
