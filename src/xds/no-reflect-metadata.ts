/**
 * @peculiar/x509 brings the injection container tsyringe, which refuses to load unless the metadata API of the `reflect-metadata` package is
 * there. x509 stores no metadata in it, so "nothing stored" is the right answer to every question. Import this before x509.
 */
if (!('getMetadata' in Reflect)) Object.assign(Reflect, { getMetadata: () => undefined, getOwnMetadata: () => undefined });
