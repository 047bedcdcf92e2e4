/** The rules of the house that a compiler does not check: who may import whom, and what a room may not do. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, posix } from 'node:path';
import { expect, test } from '@jest/globals';

/** A room or one file of it; after "type", for its types alone. The files directly in src/ compose everything. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  api: ['generated'],
  engine: [],
  telemetry: [],
  desired: ['api'],
  traffic: ['api'],
  reconcile: ['api', 'desired', 'traffic', 'engine/outcome.ts'],
  cluster: ['api', 'desired', 'type traffic/endpoint.ts', 'type reconcile/ports.ts', 'type reconcile/fleet.ts', 'engine'],
  xds: ['generated', 'api', 'desired', 'traffic', 'type reconcile/ports.ts'],
};

interface TextRule {
  readonly says: string;
  readonly in: (path: string) => boolean;
  readonly forbidden: RegExp;
}

const isPure = (path: string): boolean => /^src\/(api|desired|traffic)\//.test(path);
const isRoom = (path: string, ...rooms: readonly string[]): boolean => rooms.some((room) => path.startsWith(`src/${room}/`));

const TEXT_RULES: readonly TextRule[] = [
  { says: 'a pure room has no await, clock, randomness, process or timer', in: isPure, forbidden: /\b(await|Date|performance|process|setTimeout|setInterval|setImmediate|fetch|random(UUID|Bytes|Int))\b|\bMath\.random\b/ },
  { says: 'reconcile/ gets its clock as a port', in: (path) => isRoom(path, 'reconcile'), forbidden: /\bDate\.now\b|\bnew Date\(\s*\)|\b(performance|process|setTimeout|setInterval)\b|\bMath\.random\b/ },
  { says: 'timers live in engine/, cluster/ and xds/', in: (path) => isRoom(path, 'telemetry'), forbidden: /\bset(Timeout|Interval)\b/ },
  { says: 'arguments and environment are read in config.ts or main.ts only', in: (path) => path.startsWith('src/') && !['src/main.ts', 'src/config.ts'].includes(path), forbidden: /\bprocess\s*\.\s*(env|argv)\b|\bfrom 'node:process'/ },
];

const FORBIDDEN_NAMES = new Set(['utils', 'util', 'helpers', 'helper', 'common', 'manager', 'types']);

interface Import {
  readonly specifier: string;
  readonly isTypeOnly: boolean;
}

/** Each file by its path from the root of the repository; the answer names path and rule, and is empty for a tidy house. */
function breaches(files: ReadonlyMap<string, string>): readonly string[] {
  return [...files].flatMap(([path, source]) => [...nameBreaches(path), ...(isTest(path) ? [] : [...importBreaches(path, source), ...textBreaches(path, source)])]);
}

const isTest = (path: string): boolean => path.endsWith('.test.ts');

function nameBreaches(path: string): readonly string[] {
  const stem = basename(path).replace(/(\.cluster)?(\.test)?\.ts$/, '');
  return [
    ...(/^[a-z0-9]+(-[a-z0-9]+)*$/.test(stem) ? [] : [`${path}: not kebab-case`]),
    ...[stem, ...dirname(path).split('/')].filter((name) => FORBIDDEN_NAMES.has(name)).map((name) => `${path}: "${name}" says nothing; name it after what it holds`),
  ];
}

function importBreaches(path: string, source: string): readonly string[] {
  return imports(source).flatMap((imported) => {
    const reason = imported.specifier.startsWith('.') ? localBreach(path, imported) : packageBreach(path, imported);
    return reason === undefined ? [] : [`${path}: imports ${imported.specifier}: ${reason}`];
  });
}

function localBreach(path: string, { specifier, isTypeOnly }: Import): string | undefined {
  const target = posix.join(dirname(path), specifier);
  if (path.startsWith('services/') && target.startsWith('src/')) return 'services stand alone';
  if (!path.startsWith('src/')) return undefined;
  const room = roomOf(path);
  if (room === undefined) return target.startsWith('src/') ? undefined : 'src/ knows nothing outside';
  return room === roomOf(target) || isInTable(room, target, isTypeOnly) ? undefined : `${room}/ may import ${MAY_IMPORT[room]?.join(', ') || 'nothing'}`;
}

/** Undefined for the composition root, the files directly in src/, and outside of src/. */
const roomOf = (path: string): string | undefined => /^src\/([^/]+)\//.exec(path)?.[1];

function isInTable(room: string, target: string, isTypeOnly: boolean): boolean {
  const names = (MAY_IMPORT[room] ?? []).filter((allowed) => isTypeOnly || !allowed.startsWith('type ')).map((allowed) => allowed.replace(/^type /, ''));
  const inside = target.replace(/^src\//, '');
  return names.some((name) => inside === name || inside.startsWith(`${name}/`));
}

function packageBreach(path: string, { specifier, isTypeOnly }: Import): string | undefined {
  if (specifier === '@kubernetes/client-node' && !isTypeOnly && path !== 'src/cluster/kube-config.ts') return 'only src/cluster/kube-config.ts loads it';
  if (isPure(path) && specifier !== 'node:crypto') return 'a pure room needs nothing but hashes';
  return undefined;
}

/** Static and dynamic imports and re-exports. The formatter starts each at the beginning of a line. */
function imports(source: string): readonly Import[] {
  const fixed = [...source.matchAll(/^(?:import|export)\s+(?:(type)\s|([^'";]*?)\s*from\s*)?[^'";]*?'([^']+)'/gm)];
  const dynamic = [...source.matchAll(/\bimport\(\s*['"`]([^'"`]+)['"`]/g)];
  return [
    ...fixed.filter(([text]) => /^import\s*'|\bfrom\s*'/.test(text)).map(([, type, names, specifier]) => ({ specifier: specifier ?? '', isTypeOnly: type === 'type' || isEachAType(names ?? '') })),
    ...dynamic.map(([, specifier]) => ({ specifier: specifier ?? '', isTypeOnly: false })),
  ];
}

const isEachAType = (names: string): boolean => /^\{.*\}$/s.test(names) && names.slice(1, -1).split(',').filter((name) => name.trim() !== '').every((name) => name.trim().startsWith('type '));

function textBreaches(path: string, source: string): readonly string[] {
  return TEXT_RULES.filter((rule) => rule.in(path)).flatMap((rule) => {
    const found = rule.forbidden.exec(codeOnly(source));
    return found ? [`${path}: "${found[0]}": ${rule.says}`] : [];
  });
}

/** Without comments and the text of strings; what stands in `${}` of a template stays, being code. */
function codeOnly(source: string): string {
  const withoutComments = source.replaceAll(/\/\*.*?\*\/|(?<![:\\'"`])\/\/[^\n]*/gs, ' ');
  return withoutComments
    .replaceAll(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, "''")
    .replaceAll(/`(?:[^`\\]|\\.)*`/gs, (template) => [...template.matchAll(/\$\{([^}]*)\}/g)].map(([, code]) => `(${code})`).join('+'));
}

const readSources = (...roots: readonly string[]): ReadonlyMap<string, string> =>
  new Map(
    roots.flatMap((root) =>
      readdirSync(root, { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.ts') && !path.includes('node_modules'))
        .map((path): [string, string] => [join(root, path), readFileSync(join(root, path), 'utf8')]),
    ),
  );

test('the house keeps its rules', () => {
  const sources = readSources('src', 'services', 'lab', 'build', 'test');
  expect(sources.size).toBeGreaterThan(60);
  expect(breaches(sources)).toEqual([]);
});

test('every room has a row in the table, and every row is a room', () => {
  const rooms = readdirSync('src', { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(Object.keys(MAY_IMPORT).toSorted()).toEqual(rooms.map((room) => room.name).toSorted());
});

/** A checker that cannot fail is worth nothing: each rule against a file that breaks it. */
test.each([
  ['src/api/condition.ts', "import { plan } from '../desired/plan.ts';"],
  ['src/desired/plan.ts', "import { endpoints } from '../traffic/endpoint.ts';"],
  ['src/desired/plan.ts', "import {\n  one,\n  two,\n} from '../cluster/client.ts';"],
  ['src/desired/plan.ts', "import type { Client } from '../cluster/client.ts';"],
  ['src/desired/plan.ts', "export * from '../reconcile/ports.ts';"],
  ['src/desired/plan.ts', "import '../engine/queue.ts';"],
  ['src/desired/plan.ts', "import { readFileSync } from 'node:fs';"],
  ['src/desired/plan.ts', "import spec from '../../generated/microservice.ts';"],
  ['src/desired/plan.ts', "import { wait } from '../../test/wait.ts';"],
  ['src/desired/plan.ts', 'export const f = async () => { await g(); };'],
  ['src/traffic/route.ts', 'export const now = () => Date.now();'],
  ['src/traffic/route.ts', 'export const name = `route-${Math.random()}`;'],
  ['src/api/condition.ts', 'const where = process.cwd();'],
  ['src/traffic/route.ts', 'setTimeout(send, 10);'],
  ['src/reconcile/reconcile.ts', "import { Queue } from '../engine/queue.ts';"],
  ['src/reconcile/reconcile.ts', 'const at = new Date();'],
  ['src/reconcile/reconcile.ts', 'const at = Date.now();'],
  ['src/cluster/client.ts', "import { reconcile } from '../reconcile/reconcile.ts';"],
  ['src/cluster/client.ts', "import { reconcileFleet } from '../reconcile/fleet.ts';"],
  ['src/cluster/client.ts', "import { encode } from '../xds/encode.ts';"],
  ['src/cluster/client.ts', 'const home = process.env.HOME;'],
  ['src/cluster/client.ts', "import { KubeConfig } from '@kubernetes/client-node';"],
  ['src/cluster/client.ts', "import { type V1Pod, KubeConfig } from '@kubernetes/client-node';"],
  ['src/cluster/client.ts', "const client = await import('@kubernetes/client-node');"],
  ['src/xds/ads-stream.ts', "import { Queue } from '../engine/queue.ts';"],
  ['src/engine/queue.ts', "import { logger } from '../telemetry/logger.ts';"],
  ['src/telemetry/logger.ts', "import { Queue } from '../engine/queue.ts';"],
  ['src/telemetry/logger.ts', 'setInterval(flush, 1000);'],
  ['src/main.ts', "import { helloHttp } from '../services/hello-http/hello-http.ts';"],
  ['src/wake-ups.ts', "import { FakeCluster } from '../test/fake-cluster.ts';"],
  ['services/register/main.ts', "import { logger } from '../../src/telemetry/logger.ts';"],
  ['src/desired/podTemplate.ts', ''],
  ['src/desired/utils.ts', ''],
  ['src/common/labels.ts', ''],
  ['test/helpers.test.ts', ''],
])('finds the breach in %s: %s', (path, source) => {
  expect(breaches(new Map([[path, source]]))).toEqual([expect.stringContaining(`${path}: `)]);
});

test.each([
  ['src/desired/plan.ts', "import type { Microservice } from '../api/microservice.ts';\nimport { createHash } from 'node:crypto';"],
  ['src/desired/plan.ts', "// await a Date\n/* process.env */\nconst text = 'await Date' + `process ${id(child)}`;\nconst url = 'http://x'; /** setTimeout */"],
  ['src/cluster/client.ts', "import type { KubeConfig } from '@kubernetes/client-node';\nimport { type V1Pod } from '@kubernetes/client-node';"],
  ['src/cluster/cluster-ports.ts', "import type { FleetPorts } from '../reconcile/fleet.ts';"],
  ['src/cluster/kube-config.ts', "import { KubeConfig } from '@kubernetes/client-node';"],
  ['src/reconcile/status.ts', 'const at = new Date(nowMs).toISOString();'],
  ['src/main.ts', "import { plan } from './desired/plan.ts';\nconst settings = config(process.argv.slice(2), process.env);"],
  ['src/wake-ups.ts', "import { microserviceOf, type Caches } from './cluster/caches.ts';\nimport { versions } from './desired/version.ts';\nimport type { WorkQueue } from './engine/queue.ts';"],
  ['src/cluster/lease.cluster.test.ts', "import { startLab } from '../../lab/lab.ts';"],
])('is content with %s: %s', (path, source) => {
  expect(breaches(new Map([[path, source]]))).toEqual([]);
});
