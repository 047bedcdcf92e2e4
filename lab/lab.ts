import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { startApiLab } from './api-lab.ts';
import { binFolder, createLabFolder, labsFolder } from './lab-folder.ts';
import type { LabFolder } from './lab-folder.ts';
import { requireTools } from './requirements.ts';
import { runCommand } from './run-command.ts';
import type { CommandResult } from './run-command.ts';

export type Profile = 'api' | 'node';

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
  stop(): Promise<void>;
}

/** What each profile adds to the folder it was given. */
export interface StartedLab {
  readonly kubeconfigPath: string;
  readonly server: string;
  readonly auditLogPath?: string;
  stop(): Promise<void>;
}

/** Resolves when the cluster answers and its controllers work; rejects, with nothing left running, with what is missing. */
export async function startLab(options: LabOptions): Promise<Lab> {
  requireTools(options.profile);
  const folder = createLabFolder(options.stateDir ?? temporaryFolder());
  const started = await startApiLab(folder, options.auditLog ?? false);
  return {
    ...started,
    profile: options.profile,
    stateDir: folder.path,
    kubectl: (args, stdin) => kubectl(folder, args, stdin),
    async stop() {
      await started.stop();
      if (options.stateDir === undefined) rmSync(folder.path, { recursive: true, force: true });
    },
  };
}

/** kubectl against one lab only, whatever KUBECONFIG says; its cache is the lab's own because ports are used again by later labs. */
function kubectl(folder: LabFolder, args: readonly string[], stdin?: string): Promise<CommandResult> {
  return runCommand([join(binFolder, 'kubernetes'), 'kubectl', `--kubeconfig=${folder.file('kubeconfig')}`, `--cache-dir=${folder.file('kubectl-cache')}`, ...args], stdin);
}

function temporaryFolder(): string {
  mkdirSync(labsFolder, { recursive: true });
  return mkdtempSync(join(labsFolder, `run-${process.pid}-`));
}
