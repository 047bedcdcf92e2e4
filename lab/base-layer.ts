import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { rootCertificates } from 'node:tls';
import type { ImageFile } from './image.ts';
import { mustRun } from './run-command.ts';

/** The user that the images of the project run as. */
export const nonRoot = { uid: 65_532, user: '65532:65532' } as const;

/** What every program expects to find: users, name resolution, CA certificates, /tmp. No shell, no package manager. */
export const systemFiles: readonly ImageFile[] = [
  { path: '/etc/passwd', content: 'root:x:0:0:root:/:/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/nologin\n' },
  { path: '/etc/group', content: 'root:x:0:\nnonroot:x:65532:\n' },
  { path: '/etc/nsswitch.conf', content: 'hosts: files dns\n' },
  { path: '/etc/ssl/certs/ca-certificates.crt', content: `${rootCertificates.join('\n')}\n` },
  { path: '/tmp', directory: true, mode: 0o1777 },
];

/** A dynamically linked program at `path`, with the loader and the libraries of this machine that it names. */
export async function programFiles(path: string, from: string): Promise<ImageFile[]> {
  const listed = await mustRun(['ldd', from]);
  const named = [...listed.matchAll(/^\s*(?:\S+ => )?(?<file>\/\S+) \(0x/gmu)].map((match) => match.groups?.['file'] ?? '');
  const libraries = [...new Set([...named, ...named.flatMap(nameResolution)])];
  return [
    { path, from: realpathSync(from), mode: 0o755 },
    ...libraries.map((library) => ({ path: library, from: realpathSync(library), mode: 0o755 })),
  ];
}

// Before glibc 2.34 these are loaded at run time and no program names them.
function nameResolution(library: string): string[] {
  if (basename(library) !== 'libc.so.6') return [];
  return ['libnss_files.so.2', 'libnss_dns.so.2', 'libresolv.so.2'].map((name) => join(dirname(library), name)).filter((file) => existsSync(file));
}
