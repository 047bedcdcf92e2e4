import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { startApiLab } from './api-lab.ts';
import { binFolder, createLabFolder, labsFolder } from './lab-folder.ts';
import type { LabFolder } from './lab-folder.ts';
import { requireTools } from './requirements.ts';
import { startNodeLab } from './node-lab.ts';
import type { Profile } from './started-lab.ts';
import { runCommand } from './run-command.ts';
import type { CommandResult } from './run-command.ts';

export interface LabOptions {
  /** `api`: etcd, API server and controller-manager, no root needed. `node`: a whole one-node cluster, needs root. */
  readonly profile: Profile;
  /** All state and logs; emptied first. Default: a new folder in out/lab, removed by `stop()`. */
  readonly stateDir?: string;
  /** Writes the API server's audit log (level Metadata, one line for each finished request). Default: false. */
  readonly auditLog?: boolean;
}

/** A running Kubernetes. It ends with `stop()` or with the process that started it, whichever comes first. */
export interface Lab {
  readonly profile: Profile;
  /** A user in `system:masters`. */
  readonly kubeconfigPath: string;
  /** `https://127.0.0.1:<port>` */
  readonly server: string;
  readonly stateDir: string;
  /** JSON lines, `audit.k8s.io/v1` Event; a line appears a moment after its request is answered. */
  readonly auditLogPath?: string;
  /** Resolves with any exit code. */
  kubectl(args: readonly string[], stdin?: string): Promise<CommandResult>;
  /** Profile `node`: makes the image in a docker-archive or OCI tar known to the node. */
  loadImage(path: string): Promise<void>;
  /** Profile `node`: offers a port of a Service on 127.0.0.1 as long as the lab runs; port 0 (default) means any. Resolves with the port. */
  publish(service: { readonly namespace: string; readonly name: string; readonly port: number }, port?: number): Promise<number>;
  /** Resolves when nothing of the lab is running any more, whether `stop()` was called or it fell. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/** Resolves when the cluster answers and its controllers work; rejects, with nothing left running, with what is missing. */
export async function startLab(options: LabOptions): Promise<Lab> {
  requireTools(options.profile);
  const folder = createLabFolder(options.stateDir ?? temporaryFolder());
  const start = options.profile === 'api' ? startApiLab : startNodeLab;
  const started = await start(folder, options.auditLog ?? false);
  const kubectl = (args: readonly string[], stdin?: string): Promise<CommandResult> => runKubectl(folder, args, stdin);
  return {
    profile: options.profile,
    kubeconfigPath: folder.file('kubeconfig'),
    server: started.server,
    stateDir: folder.path,
    ...(options.auditLog === true ? { auditLogPath: folder.file('audit.log') } : {}),
    kubectl,
    loadImage: (path) => started.loadImage(path),
    async publish(service, port = 0) {
      const { code, stderr } = await kubectl(['get', 'service', service.name, `--namespace=${service.namespace}`]);
      if (code !== 0) throw new Error(`publish: ${stderr.trim()}`);
      return started.forward({ host: `${service.name}.${service.namespace}.svc.cluster.local`, port: service.port }, port);
    },
    ended: started.ended,
    async stop() {
      await started.stop();
      if (options.stateDir === undefined) rmSync(folder.path, { recursive: true, force: true });
    },
  };
}

/** kubectl against one lab only, whatever KUBECONFIG says; its cache is the lab's own because ports are used again by later labs. */
function runKubectl(folder: LabFolder, args: readonly string[], stdin?: string): Promise<CommandResult> {
  return runCommand([join(binFolder, 'kubernetes'), 'kubectl', `--kubeconfig=${folder.file('kubeconfig')}`, `--cache-dir=${folder.file('kubectl-cache')}`, ...args], stdin);
}

/** Named after this process, so that what a killed one has left is known and removed. */
function temporaryFolder(): string {
  mkdirSync(labsFolder, { recursive: true });
  for (const entry of readdirSync(labsFolder)) {
    const pid = /^run-(?<pid>\d+)-/u.exec(entry)?.groups?.['pid'];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) rmSync(join(labsFolder, entry), { recursive: true, force: true });
  }
  return mkdtempSync(join(labsFolder, `run-${process.pid}-`));
}
