import { prepareControlPlane } from './control-plane.ts';
import type { Daemon } from './daemon.ts';
import { freePorts } from './free-ports.ts';
import type { LabFolder } from './lab-folder.ts';
import type { StartedLab } from './started-lab.ts';
import { startApiServer, startControllers } from './start-control-plane.ts';

/** etcd, API server and controller-manager as children of this process, on 127.0.0.1. */
export async function startApiLab(folder: LabFolder, auditLog: boolean): Promise<StartedLab> {
  const [apiServer = 0, etcdClient = 0, etcdPeer = 0] = await freePorts(3);
  const server = `https://127.0.0.1:${apiServer}`;
  const plane = prepareControlPlane({ folder, address: '127.0.0.1', ports: { apiServer, etcdClient, etcdPeer }, publicServer: server, auditLog });
  const daemons: Daemon[] = [];
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const stop = async (): Promise<void> => {
    await Promise.all(daemons.map((daemon) => daemon.stop()));
    end();
  };
  try {
    await startApiServer(plane, daemons);
    await startControllers(plane, daemons);
  } catch (error) {
    await stop();
    throw error;
  }
  const noNode = (): Promise<never> => Promise.reject(new Error('profile api has no node: start the lab with profile node'));
  return { server, ended, stop, loadImage: noNode, forward: noNode };
}
