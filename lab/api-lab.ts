import { createApiClient } from './api-client.ts';
import type { ApiClient } from './api-client.ts';
import { prepareControlPlane } from './control-plane.ts';
import type { ControlPlane } from './control-plane.ts';
import { startDaemon } from './daemon.ts';
import type { Daemon } from './daemon.ts';
import { freePorts } from './free-ports.ts';
import type { LabFolder } from './lab-folder.ts';
import type { StartedLab } from './lab.ts';
import { waitUntil } from './wait-until.ts';

const startTimeoutMs = 60_000;

/** etcd, API server and controller-manager as children of this process, on 127.0.0.1. */
export async function startApiLab(folder: LabFolder, auditLog: boolean): Promise<StartedLab> {
  const [apiServer = 0, etcdClient = 0, etcdPeer = 0] = await freePorts(3);
  const publicServer = `https://127.0.0.1:${apiServer}`;
  const plane = prepareControlPlane({ folder, address: '127.0.0.1', ports: { apiServer, etcdClient, etcdPeer }, publicServer, auditLog });
  const daemons: Daemon[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(daemons.map((daemon) => daemon.stop()));
  };
  try {
    await startControlPlane(plane, daemons);
  } catch (error) {
    await stop();
    throw error;
  }
  const { kubeconfigPath, auditLogPath } = plane;
  return { kubeconfigPath, server: publicServer, stop, ...(auditLogPath === undefined ? {} : { auditLogPath }) };
}

/** Starts the three daemons, adding each to `daemons`, and waits until a pod could be created. */
export async function startControlPlane(plane: ControlPlane, daemons: Daemon[]): Promise<void> {
  const client = createApiClient(plane.admin);
  try {
    daemons.push(startDaemon(plane.etcd), startDaemon(plane.apiServer));
    await waitUntil(() => answers(client, '/readyz'), { what: 'the API server is ready', timeoutMs: startTimeoutMs, daemons });
    // Not earlier: the controller-manager gives up after 10 s without an API server.
    daemons.push(startDaemon(plane.controllerManager));
    const account = '/api/v1/namespaces/default/serviceaccounts/default';
    await waitUntil(() => answers(client, account), { what: 'the controllers work', timeoutMs: startTimeoutMs, daemons });
  } finally {
    client.close();
  }
}

async function answers(client: ApiClient, path: string): Promise<boolean> {
  const { status } = await client.call({ path });
  return status === 200;
}
