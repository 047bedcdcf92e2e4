import { createApiClient } from './api-client.ts';
import type { ApiClient } from './api-client.ts';
import type { ControlPlane } from './control-plane.ts';
import { startDaemon } from './daemon.ts';
import type { Daemon } from './daemon.ts';
import { waitUntil } from './wait-until.ts';

export const startTimeoutMs = 60_000;

/** Starts etcd and the API server, adding each to `daemons`, and waits until requests are answered. */
export async function startApiServer(plane: ControlPlane, daemons: Daemon[]): Promise<void> {
  daemons.push(startDaemon(plane.etcd), startDaemon(plane.apiServer));
  const client = createApiClient(plane.access);
  await waitUntilFound(client, '/readyz', { what: 'the API server is ready', daemons }).finally(() => client.close());
}

/** Starts the controller-manager and waits until a pod could be created. Not before the API server: it gives up without one. */
export async function startControllers(plane: ControlPlane, daemons: Daemon[]): Promise<void> {
  daemons.push(startDaemon(plane.controllerManager));
  const client = createApiClient(plane.access);
  await waitUntilFound(client, '/api/v1/namespaces/default/serviceaccounts/default', { what: 'the controllers work', daemons }).finally(() => client.close());
}

/** Waits until a GET is answered with 200. */
export async function waitUntilFound(client: ApiClient, path: string, wait: { readonly what: string; readonly daemons: readonly Daemon[] }): Promise<void> {
  await waitUntil(async () => (await client.call({ path })).status === 200, { ...wait, timeoutMs: startTimeoutMs });
}
