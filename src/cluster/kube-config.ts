import { KubeConfig } from '@kubernetes/client-node';
import type { Credentials, CredentialSource, TlsOptions } from './connection.ts';

export interface KubeConfigOptions {
  /** A kubeconfig file; without it the service account that every pod gets. */
  readonly path?: string | undefined;
  /** Default: the file's current context. */
  readonly context?: string | undefined;
}

/** What `applyToHTTPSOptions` fills in, as far as we use it. */
interface HttpsOptions extends TlsOptions {
  headers: Record<string, string>;
}

/**
 * Credentials from a kubeconfig file or the pod's service account; the only user of @kubernetes/client-node at run time.
 * It re-reads token files itself and caches what exec plugins return; `afresh` starts over.
 */
export function kubeConfig({ path, context }: KubeConfigOptions): CredentialSource & { readonly namespace: string } {
  let config = load(path, context);
  return {
    namespace: config.getContextObject(config.currentContext)?.namespace ?? 'default',
    read: async ({ afresh }) => {
      if (afresh) config = load(path, context);
      return credentialsOf(config);
    },
  };
}

function load(path: string | undefined, context: string | undefined): KubeConfig {
  const config = new KubeConfig();
  if (path === undefined) config.loadFromCluster();
  else config.loadFromFile(path);
  if (context !== undefined) config.setCurrentContext(context);
  if (!config.getCurrentCluster()) throw new Error(`${path}: context ${config.currentContext} names no cluster; set current-context or pass another one`);
  return config;
}

async function credentialsOf(config: KubeConfig): Promise<Credentials> {
  const options: HttpsOptions & { auth?: string } = { headers: {} };
  await config.applyToHTTPSOptions(options);
  const { headers, ca, cert, key, servername, rejectUnauthorized, auth } = options;
  const basic = auth === undefined ? {} : { Authorization: `Basic ${Buffer.from(auth).toString('base64')}` };
  return {
    server: config.getCurrentCluster()?.server ?? '',
    // A token file often ends with a line break, which is not allowed in a header.
    headers: Object.fromEntries(Object.entries({ ...basic, ...headers }).map(([name, value]) => [name, value.trim()])),
    tls: given({ ca, cert, key, servername, rejectUnauthorized }),
  };
}

const given = (tls: { readonly [Name in keyof TlsOptions]: TlsOptions[Name] | undefined }): TlsOptions =>
  Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined && value !== null));
