/** Bundles each program into one file, `out/bundle/<name>.mjs`, that needs Node 24 and nothing else. */
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { existsSync } from 'node:fs';
import { build, type Plugin } from 'esbuild';
import protobuf from 'protobufjs';

const repository = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

/** Entry points by name; the name is also that of the image. */
export const programs = {
  operator: 'src/main.ts',
  'hello-http': 'services/hello-http/main.ts',
  'hello-grpc': 'services/hello-grpc/main.ts',
  register: 'services/register/main.ts',
} as const;

export type ProgramName = keyof typeof programs;

export const programNames: readonly ProgramName[] = ['operator', 'hello-http', 'hello-grpc', 'register'];

export const bundleFolder = path.join(repository, 'out/bundle');

export function bundlePath(name: ProgramName, folder: string = bundleFolder): string {
  return path.join(folder, `${name}.mjs`);
}

/** The `.proto` files that the programs and their packages load at run time. None has a field in snake_case, so `keepCase` makes no difference. */
const protoFiles: Readonly<Record<string, string>> = {
  '/helloworld.proto': path.join(repository, 'services/hello-grpc/helloworld.proto'),
  '/hello.proto': path.join(repository, 'services/hello-grpc/hello.proto'),
  'health/v1/health.proto': path.join(packageFolder('grpc-health-check'), 'proto/health/v1/health.proto'),
  'reflection/v1/reflection.proto': path.join(packageFolder('@grpc/reflection'), 'build/proto/grpc/reflection/v1/reflection.proto'),
  'reflection/v1alpha/reflection.proto': path.join(packageFolder('@grpc/reflection'), 'build/proto/grpc/reflection/v1alpha/reflection.proto'),
};

/** Answers the names of the bundles it made. */
export async function bundle(folder: string = bundleFolder): Promise<readonly ProgramName[]> {
  const present = programNames.filter((name) => existsSync(path.join(repository, programs[name])));
  await build({
    absWorkingDir: repository,
    entryPoints: Object.fromEntries(present.map((name) => [name, programs[name]])),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    minify: true,
    // An uncaught error prints the line it comes from.
    lineLimit: 200,
    // Class names reach logs and error messages.
    keepNames: true,
    logLevel: 'warning',
    plugins: [inlineProtoFiles],
    // CommonJS packages find here what a module does not give them.
    banner: {
      js: "import{createRequire as moduleRequire}from'node:module';const require=moduleRequire(import.meta.url),__filename=import.meta.filename,__dirname=import.meta.dirname;",
    },
  });
  return present;
}

/** Gives every copy of `@grpc/proto-loader` a `loadSync` that knows the files above by the end of their path, already parsed. */
const inlineProtoFiles: Plugin = {
  name: 'inline-proto-files',
  setup(esbuild) {
    const namespace = 'inline-proto-files';
    esbuild.onResolve({ filter: /^@grpc\/proto-loader$/ }, ({ namespace: from }) => (from === namespace ? undefined : { path: 'proto-loader', namespace }));
    esbuild.onLoad({ filter: /^proto-loader$/, namespace }, () => ({ contents: protoLoader(), resolveDir: repository }));
  },
};

function protoLoader(): string {
  const parsed = Object.entries(protoFiles).map(([name, file]) => [name, new protobuf.Root().loadSync(file).toJSON()]);
  return `
    const loader = require('@grpc/proto-loader');
    const files = ${JSON.stringify(Object.fromEntries(parsed))};
    module.exports = {
      ...loader,
      loadSync(path, options) {
        const name = Object.keys(files).find((file) => path.endsWith(file));
        if (!name) throw new Error(path + ' is not in this bundle: add it to build/bundle.ts');
        return loader.fromJSON(files[name], options);
      },
    };`;
}

function packageFolder(name: string): string {
  const entry = require.resolve(name);
  return entry.slice(0, entry.lastIndexOf(`/node_modules/${name}/`) + `/node_modules/${name}/`.length);
}

if (import.meta.main) {
  const made = await bundle();
  for (const name of programNames) {
    console.log(made.includes(name) ? `out/bundle/${name}.mjs` : `${name}: skipped, there is no ${programs[name]}`);
  }
}
