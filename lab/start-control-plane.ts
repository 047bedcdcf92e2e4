import { createApiClient } from './api-client.ts';
import type { ControlPlane } from './control-plane.ts';
import { startDaemon } from './daemon.ts';
import type { Daemon } from './daemon.ts';
import { waitUntil } from './wait-until.ts';

export const startTimeoutMs = 60_000;

/** Starts etcd and the API server, adding each to `daemons`, and waits until requests are answered. */
export async function startApiServer(plane: ControlPlane, daemons: Daemon[]): Promise<void> {
  daemons.push(startDaemon(plane.etcd), startDaemon(plane.apiServer));
  await waitUntilFound(plane, '/readyz', { what: 'the API server is ready', daemons });
}

/** Starts the controller-manager and waits until a pod could be created. Not before the API server: it gives up without one. */
export async function startControllers(plane: ControlPlane, daemons: Daemon[]): Promise<void> {
  daemons.push(startDaemon(plane.controllerManager));
  await waitUntilFound(plane, '/api/v1/namespaces/default/serviceaccounts/default', { what: 'the controllers work', daemons });
}

async function waitUntilFound(plane: ControlPlane, path: string, wait: { readonly what: string; readonly daemons: readonly Daemon[] }): Promise<void> {
  const client = createApiClient(plane.access);
  try {
    await waitUntil(async () => (await client.call({ path })).status === 200, { ...wait, timeoutMs: startTimeoutMs });
  } finally {
    client.close();
  }
}
