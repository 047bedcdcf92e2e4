/** What `make test` runs after building: every test, one after the other, and one line with the sum. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const END_TO_END = ['main-job', 'bad-input', 'examples', 'rolls'] as const;
const JEST = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];
const RESULTS = 'out/jest.json';

const isRoot = process.getuid?.() === 0;
const results: Counts[] = [];
const figures: Record<string, number> = {};

results.push(await timed('unit_s', () => jest('unit')));
results.push(await timed('cluster_s', () => jest('cluster', '--runInBand', ...(isRoot ? [] : ['--testPathIgnorePatterns=node\\.cluster\\.test']))));
if (isRoot) for (const name of END_TO_END) results.push(await timed(`${name}_s`, () => endToEnd(name)));
else process.stdout.write(`not run: ${['lab/node.cluster.test.ts', ...END_TO_END].join(', ')}: a node needs root (namespaces, mounts, cgroups)\n`);

const total = results.reduce((sum, { passed, failed, skipped }) => ({ passed: sum.passed + passed, failed: sum.failed + failed, skipped: sum.skipped + skipped }));
process.stdout.write(`figures: ${JSON.stringify(figures)}\n`);
process.stdout.write(`tests: ${total.passed} passed, ${total.failed} failed, ${total.skipped + (isRoot ? 0 : END_TO_END.length)} skipped\n`);
process.exitCode = total.failed > 0 ? 1 : 0;

async function timed(key: string, test: () => Promise<Counts>): Promise<Counts> {
  const startedMs = performance.now();
  const counts = await test();
  figures[key] = Math.round((performance.now() - startedMs) / 1000);
  return counts;
}

async function jest(project: string, ...more: readonly string[]): Promise<Counts> {
  mkdirSync('out', { recursive: true });
  // A run that breaks before it writes must not count with the numbers of the one before.
  rmSync(RESULTS, { force: true });
  const { code } = await run([...JEST, `--selectProjects=${project}`, '--json', `--outputFile=${RESULTS}`, ...more]);
  const found = JSON.parse(readFileSync(RESULTS, 'utf8')) as { numPassedTests: number; numFailedTests: number; numPendingTests: number; numTodoTests: number; numRuntimeErrorTestSuites: number };
  const failed = found.numFailedTests + found.numRuntimeErrorTestSuites;
  return { passed: found.numPassedTests, failed: code !== 0 && failed === 0 ? 1 : failed, skipped: found.numPendingTests + found.numTodoTests };
}

async function endToEnd(name: string): Promise<Counts> {
  process.stdout.write(`\nend to end: ${name}\n`);
  const { code, output } = await run([`test/e2e/${name}.ts`]);
  const counted = /^tests: (\d+) passed, (\d+) failed, (\d+) skipped$/m.exec(output);
  if (!counted) return { passed: 0, failed: 1, skipped: 0 };
  const failed = Number(counted[2]);
  return { passed: Number(counted[1]), failed: code !== 0 && failed === 0 ? 1 : failed, skipped: Number(counted[3]) };
}

/** Shows what the program prints, and keeps its standard output. Jest writes its JSON there too, which nobody wants to see. */
function run(args: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  const isJest = args.includes('--json');
  return new Promise((resolve, reject) => {
    const child = spawn('node', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (!isJest) process.stdout.write(text);
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}
