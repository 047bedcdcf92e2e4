/** `make demo` and `make demo-down`: one Microservice on a Kubernetes of its own, under load while its split is edited. What it starts goes on. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { requireTools } from '../../lab/requirements.ts';
import type { Microservice } from '../../src/api/microservice.ts';
import { startDetachedLab, stopDetachedLab, type DetachedLab } from './detached-lab.ts';
import { helloGrpcClient, helloHttpClient } from './hello-client.ts';
import { failures, Load, sendAll } from './load.ts';
import { installChart, loadImages, mustSucceed, untilReady } from './node-cluster.ts';
import { watchSplit } from './split-view.ts';
import { until } from './until.ts';

const NAME = 'demo';
const NAMESPACE = 'default';
const EXAMPLE = 'examples/two-versions.yaml';
/** Three Microservices: two versions, gRPC, autoscaling. */
const EXAMPLES = [EXAMPLE, 'examples/hello-grpc.yaml', 'examples/autoscaling.yaml'];
const NAMES = ['hello', 'hello-grpc', 'hello-autoscaled'];
const VERSIONS = ['v1', 'v2'];
const REQUESTS_PER_SECOND = 100;

const commands: Readonly<Record<string, () => Promise<void>>> = { check: async () => check(), up, down };

try {
  const run = commands[process.argv[2] ?? ''];
  if (!run) throw new Error('want: demo.ts check | up | down');
  await run();
} catch (error) {
  process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`);
  // The load may still be on.
  process.exit(1);
}

/** Before minutes are spent on building: what no build can mend. */
function check(): void {
  if (process.platform !== 'linux') throw new Error(`The demo needs Linux, because it starts a Kubernetes node of its own; this is ${process.platform}. On a cluster that you have: see "On your cluster" in README.md.`);
  if (process.geteuid?.() !== 0) throw new Error('The demo needs root, for the namespaces, mounts and cgroups of a Kubernetes node. Run it as root: sudo make demo');
}

async function up(): Promise<void> {
  check();
  requireTools('node');
  say('\nA Kubernetes on this machine');
  const lab = await step('it starts, in namespaces of its own', () => startDetachedLab(NAME));
  await step('images are loaded', () => loadImages(lab));
  await step('the operator is installed by its chart', () => installChart(lab.kubeconfigPath));

  say('\nOne Microservice with two versions, one that speaks gRPC, one that is autoscaled');
  await show(lab, ['apply', ...EXAMPLES.map((path) => `--filename=${path}`)]);
  await step('they are Ready', async () => void (await Promise.all(NAMES.map((name) => untilReady({ lab }, name, { namespace: NAMESPACE })))));
  say('\nWhat the Microservice hello has become');
  await show(lab, ['get', 'deployments,services,poddisruptionbudgets,serviceaccounts,pods', '--selector=microservice-operator.io/microservice=hello']);

  const port = await lab.publish({ namespace: NAMESPACE, name: 'hello', port: 80 });
  const failed = (await underLoad(lab, port)) + (await grpcCalls(lab));
  say('\nThe autoscaler of hello-autoscaled');
  await step('it reads the CPU of its pods', () => autoscalingActive(lab));
  await show(lab, ['get', 'horizontalpodautoscalers']);
  invite(lab, port);
  if (failed > 0) throw new Error(`${failed} requests failed, and none should have.`);
}

/** Resolves with the number of failed requests. */
async function underLoad(lab: DetachedLab, port: number): Promise<number> {
  await using http = helloHttpClient(port);
  await until('hello answers', 10_000, http.request);
  say(`\n${REQUESTS_PER_SECOND} requests a second to http://127.0.0.1:${port}, split 90/10`);
  const load = new Load(http.request, REQUESTS_PER_SECOND);
  await watchSplit(load, VERSIONS, 5);

  say('\nThe weights are edited to 50/50 while the requests go on');
  await show(lab, ['apply', '--filename=-'], {
    shown: `sed 's/weight: .*/weight: 50/' ${EXAMPLE} | kubectl apply --filename=-`,
    stdin: readFileSync(EXAMPLE, 'utf8').replaceAll(/weight: .*/g, 'weight: 50'),
  });
  await watchSplit(load, VERSIONS, 5);
  const samples = await load.stop();

  say('\nThe receipt in its status: what the proxies have acknowledged, and how long after the edit was seen');
  say(await receiptFor(lab, 50));
  const lost = failures(samples);
  say(`\n   ${samples.length} requests sent, ${lost.length} failed${lost[0] ? `: ${lost[0].failure}` : ''}`);
  return lost.length;
}

async function grpcCalls(lab: DetachedLab): Promise<number> {
  await using grpc = helloGrpcClient(await lab.publish({ namespace: NAMESPACE, name: 'hello-grpc', port: 50051 }));
  await until('hello-grpc answers', 10_000, grpc.request);
  const samples = await sendAll(grpc.request, 500, 4);
  say(`   ${samples.length} gRPC calls to hello-grpc over two connections, ${failures(samples).length} failed`);
  return failures(samples).length;
}

async function autoscalingActive(lab: DetachedLab): Promise<void> {
  await until('the autoscaler is active', 60_000, async () => {
    const { stdout } = await lab.kubectl(['get', 'microservice', 'hello-autoscaled', `--namespace=${NAMESPACE}`, '--output=jsonpath={.status.conditions[?(@.type=="AutoscalingActive")].status}']);
    if (stdout !== 'True') throw new Error(`AutoscalingActive is ${stdout}`);
  });
}

async function receiptFor(lab: DetachedLab, weight: number): Promise<string> {
  const weights = await until('the proxies have acknowledged the edit', 30_000, async () => {
    const { stdout } = await lab.kubectl(['get', 'microservice', 'hello', `--namespace=${NAMESPACE}`, '--output=json']);
    const { metadata, status } = JSON.parse(stdout) as Microservice;
    const versions = status?.versions ?? [];
    if (status?.observedGeneration !== metadata.generation || versions.some((version) => version.weight?.acknowledged !== weight)) throw new Error(JSON.stringify(versions));
    return versions;
  });
  const rows = weights.map(({ name, weight: receipt }) => [name, receipt?.desired, receipt?.applied, receipt?.acknowledged, `${receipt?.delayMs} ms`]);
  return [['version', 'desired', 'applied', 'acknowledged', 'delay'], ...rows].map((row) => `   ${row.map((cell) => String(cell).padEnd(14)).join('')}`.trimEnd()).join('\n');
}

function invite(lab: DetachedLab, port: number): void {
  say(`
It goes on running. Three things to try; first, in a shell at ${resolve('.')}:

   export KUBECONFIG=${lab.kubeconfigPath} PATH=${resolve('out/bin')}:$PATH

1. Move all requests to v2 and read the receipt:
   sed 's/weight: 90/weight: 0/' ${EXAMPLE} | kubectl apply --filename=-
   kubectl get microservice hello --output=jsonpath='{range .status.versions[*]}{.name}{" "}{.weight}{"\\n"}{end}'
   for i in {1..40}; do curl --silent --head http://127.0.0.1:${port}/ | grep x-version; done | sort | uniq --count

2. Delete what it made, and see it made again:
   kubectl delete deployment,service --selector=microservice-operator.io/version=v1
   sleep 5; kubectl get deployment,service --selector=microservice-operator.io/version=v1

3. Break it, read why it is not Ready, see that it answers all the same, and mend it:
   kubectl patch microservice hello --type=merge --patch='{"spec":{"command":["/no/such/program"]}}'
   sleep 5; kubectl get microservice hello --output=wide; curl --silent http://127.0.0.1:${port}/
   kubectl patch microservice hello --type=merge --patch='{"spec":{"command":null}}'

   make demo-down    ends it; nothing stays on this machine but logs in out/lab/${NAME}`);
}

async function down(): Promise<void> {
  check();
  const { own, changed } = await step('the demo ends', () => stopDetachedLab(NAME));
  for (const line of own) say(`   left behind: ${line}`);
  if (own.length === 0) say('   checked: no process, no cgroup and no mount of it is left');
  if (changed?.length === 0) say('   checked: links, routes, packet filter, mounts and kernel settings of this machine are as before the demo');
  else if (changed) say(`   changed since the demo began, perhaps by other programs: ${changed.join(', ')}`);
  if (own.length > 0) process.exitCode = 1;
}

/** Runs kubectl and shows the command as a person would type it, and its answer. */
async function show(lab: DetachedLab, args: readonly string[], { shown = `kubectl ${args.join(' ')}`, stdin }: { readonly shown?: string; readonly stdin?: string } = {}): Promise<void> {
  say(`   $ ${shown}`);
  const result = await lab.kubectl([...args, `--namespace=${NAMESPACE}`], stdin);
  mustSucceed(result);
  say(result.stdout.trimEnd().replaceAll(/^/gm, '   '));
}

async function step<T>(what: string, run: () => Promise<T>): Promise<T> {
  process.stdout.write(`   ${what} ... `);
  const startedMs = performance.now();
  const result = await run();
  process.stdout.write(`${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
  return result;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
