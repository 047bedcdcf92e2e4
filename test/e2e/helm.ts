import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Helm 4, which is part of the lab's binary. Rejects with what it printed. */
export async function helm(kubeconfigPath: string, args: readonly string[]): Promise<string> {
  const environment = { ...process.env, KUBECONFIG: kubeconfigPath, HELM_CACHE_HOME: 'out/helm/cache', HELM_CONFIG_HOME: 'out/helm/config', HELM_DATA_HOME: 'out/helm/data' };
  try {
    const { stdout } = await run('out/bin/kubernetes', ['helm', ...args], { env: environment });
    return stdout;
  } catch (error) {
    const { stderr = '', stdout = '' } = error as { stderr?: string; stdout?: string };
    throw new Error(`helm ${args[0]} failed: ${stderr}${stdout}`, { cause: error });
  }
}
