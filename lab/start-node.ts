import { Resolver } from 'node:dns/promises';
import { join } from 'node:path';
import { addOns } from './add-ons.ts';
import { createApiClient } from './api-client.ts';
import type { ApiClient } from './api-client.ts';
import { balanceLoad } from './cloud.ts';
import { prepareControlPlane } from './control-plane.ts';
import type { ControlPlane } from './control-plane.ts';
import { startDaemon } from './daemon.ts';
import type { Daemon } from './daemon.ts';
import { binFolder, openLabFolder } from './lab-folder.ts';
import type { LabFolder } from './lab-folder.ts';
import { apiServerPort, containerd, containerdSocket, coreDns, kubeProxy, kubelet, metricsServer, metricsServerPort, nodeName, pauseImage, scheduler } from './node-daemons.ts';
import { insideFolder, nodeAddress, prepareMachine } from './node-machine.ts';
import { mustRun, runCommand } from './run-command.ts';
import { startApiServer, startControllers, startTimeoutMs, waitUntilFound } from './start-control-plane.ts';
import { provisionVolumes } from './volume-provisioner.ts';
import { waitUntil } from './wait-until.ts';
import { writeImage } from './image.ts';

export interface NodeOptions {
  readonly stateDir: string;
  readonly publicServer: string;
  readonly auditLog: boolean;
  readonly cgroupRoot: string;
}

/** Turns the namespaces that this process is in into a one-node cluster; resolves when the node is Ready and names are resolved. */
export async function startNode(options: NodeOptions): Promise<void> {
  await prepareMachine(options.stateDir);
  const folder = openLabFolder(insideFolder);
  const plane = prepareControlPlane({
    folder,
    address: nodeAddress,
    ports: { apiServer: apiServerPort, etcdClient: 2379, etcdPeer: 2380 },
    publicServer: options.publicServer,
    auditLog: options.auditLog,
  });
  const daemons: Daemon[] = [];
  await Promise.all([startApiServer(plane, daemons), startContainerd(folder, daemons)]);
  const specs = [kubelet(folder, plane, options.cgroupRoot), kubeProxy(folder, plane), scheduler(folder, plane), coreDns(folder, plane), metricsServer(folder, plane)];
  daemons.push(...specs.map(startDaemon));
  const client = createApiClient(plane.access);
  await Promise.all([startControllers(plane, daemons), installAddOns(client, plane, daemons), waitUntilNodeReady(client, daemons), waitUntilNamesResolve(daemons)]);
  void balanceLoad(client);
  void provisionVolumes(client, folder);
}

/** Makes an image known to the node; the file is a docker-archive or OCI tar. */
export async function importImage(path: string): Promise<void> {
  await mustRun(['ctr', '--address', containerdSocket, '--namespace', 'k8s.io', 'image', 'import', path]);
}

async function startContainerd(folder: LabFolder, daemons: Daemon[]): Promise<void> {
  daemons.push(startDaemon(containerd(folder)));
  const pause = folder.file('pause.tar');
  writeImage({ reference: pauseImage, layers: [[{ path: '/pause', from: join(binFolder, 'pause'), mode: 0o755 }]], config: { entrypoint: ['/pause'] } }, pause);
  const answers = async (): Promise<boolean> => (await runCommand(['ctr', '--address', containerdSocket, 'version'])).code === 0;
  await waitUntil(answers, { what: 'containerd answers', timeoutMs: startTimeoutMs, daemons });
  await importImage(pause);
}

/**
 * An API group that does not answer fails discovery, and with it the deletion of namespaces, and the API server takes long to look again. So the
 * group is made known after its server answers, and the lab is not up before the group does.
 */
async function installAddOns(client: ApiClient, plane: ControlPlane, daemons: readonly Daemon[]): Promise<void> {
  const server = createApiClient({ ...plane.access, server: `https://${nodeAddress}:${metricsServerPort}` });
  await waitUntilFound(server, '/livez', { what: 'metrics-server answers', daemons });
  server.close();
  for (const { path, body } of addOns(plane.authority.certificatePem)) await client.json({ method: 'POST', path, body });
  await waitUntilFound(client, '/apis/metrics.k8s.io/v1beta1', { what: 'the API server finds metrics-server', daemons });
}

async function waitUntilNodeReady(client: ApiClient, daemons: readonly Daemon[]): Promise<void> {
  const ready = async (): Promise<boolean> => {
    const node = await client.json<{ spec: { taints?: unknown[] }; status: { conditions: { type: string; status: string }[] } }>({ path: `/api/v1/nodes/${nodeName}` });
    return node.spec.taints === undefined && node.status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
  };
  await waitUntil(ready, { what: 'the node is Ready', timeoutMs: startTimeoutMs, daemons });
}

async function waitUntilNamesResolve(daemons: readonly Daemon[]): Promise<void> {
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([nodeAddress]);
  const resolves = async (): Promise<boolean> => (await resolver.resolve4('kubernetes.default.svc.cluster.local')).length === 1;
  await waitUntil(resolves, { what: 'CoreDNS answers', timeoutMs: startTimeoutMs, daemons });
}
