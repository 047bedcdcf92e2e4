import { readFileSync } from 'node:fs';
import { kubeConfig } from '../../src/cluster/kube-config.ts';
import { Client } from '../../src/cluster/client.ts';
import { Transport } from '../../src/cluster/transport.ts';
import { startLab, type Lab } from '../../lab/lab.ts';
import { helm } from './helm.ts';
import { until } from './until.ts';

export const OPERATOR_NAMESPACE = 'microservice-operator';
/** Enforces the restricted Pod Security level, as a careful team would. */
export const NAMESPACE = 'shop';

/** The images of out/images, as build/images.ts makes them. */
const IMAGES = ['operator', 'hello-http', 'hello-grpc', 'register', 'envoy'] as const;

/** A lab of profile `node` with the operator installed in it by its chart. */
export interface NodeCluster extends AsyncDisposable {
  readonly lab: Lab;
  /** As a user who may do everything. */
  readonly client: Client;
  apply(yaml: string): Promise<void>;
  applyFile(path: string): Promise<void>;
}

export async function startNodeCluster(): Promise<NodeCluster> {
  const lab = await step('Kubernetes starts', () => startLab({ profile: 'node', auditLog: true }));
  try {
    return await installed(lab);
  } catch (error) {
    await lab.stop();
    throw error;
  }
}

async function installed(lab: Lab): Promise<NodeCluster> {
  await step('images are loaded', () => loadImages(lab));
  await step('the operator is installed by its chart', () => installChart(lab.kubeconfigPath));
  const transport = new Transport({ credentials: kubeConfig({ path: lab.kubeconfigPath }), version: 'test' });
  const cluster: NodeCluster = {
    lab,
    client: new Client({ transport }),
    apply: async (yaml) => mustSucceed(await lab.kubectl(['apply', '--filename=-'], yaml)),
    applyFile: async (path) => cluster.apply(readFileSync(path, 'utf8')),
    [Symbol.asyncDispose]: async () => {
      await transport.close();
      await lab.stop();
    },
  };
  await cluster.apply(
    `{apiVersion: v1, kind: Namespace, metadata: {name: ${NAMESPACE}, labels: {pod-security.kubernetes.io/enforce: restricted}}}`,
  );
  return cluster;
}

export async function loadImages(lab: Pick<Lab, 'loadImage'>): Promise<void> {
  for (const image of IMAGES) await lab.loadImage(`out/images/${image}.tar`);
}

export async function installChart(kubeconfigPath: string): Promise<void> {
  const values = ['image.prefix=microservice-operator', 'image.tag=dev', 'fleet.image=microservice-operator/envoy:1.40.0', 'logLevel=debug'];
  await helm(kubeconfigPath, [
    'upgrade',
    '--install',
    'microservice-operator',
    'charts/microservice-operator',
    `--namespace=${OPERATOR_NAMESPACE}`,
    '--create-namespace',
    '--wait',
    '--timeout=180s',
    ...values.map((value) => `--set=${value}`),
  ]);
}

/** Runs one step and says how long it took. */
export async function step<T>(what: string, run: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  const result = await run();
  process.stdout.write(`  ${what}: ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
  return result;
}

export function mustSucceed({ code, stdout, stderr }: { readonly code: number; readonly stdout: string; readonly stderr: string }): void {
  if (code !== 0) throw new Error(`kubectl ended with ${code}: ${stderr || stdout}`);
}

/** Waits until the Microservice is Ready for its current generation. */
export async function untilReady(cluster: { readonly lab: Pick<Lab, 'kubectl'> }, name: string, { namespace = NAMESPACE, deadlineMs = 120_000 } = {}): Promise<void> {
  await until(`${name} is Ready`, deadlineMs, async () => {
    const { stdout } = await cluster.lab.kubectl(['get', 'microservice', name, `--namespace=${namespace}`, '--output=json']);
    const { metadata, status } = JSON.parse(stdout) as { metadata: { generation: number }; status?: { observedGeneration?: number; conditions?: { type: string; status: string; message: string }[] } };
    const ready = status?.conditions?.find(({ type }) => type === 'Ready');
    if (status?.observedGeneration !== metadata.generation || ready?.status !== 'True') throw new Error(ready?.message ?? 'no status yet');
  });
}
