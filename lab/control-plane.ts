import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { ApiAccess } from './api-client.ts';
import type { DaemonSpec } from './daemon.ts';
import { binFolder } from './lab-folder.ts';
import type { LabFolder } from './lab-folder.ts';
import { createAuthority, createSigningKey } from './pki.ts';
import type { Authority } from './pki.ts';

export interface ControlPlaneOptions {
  readonly folder: LabFolder;
  /** The IPv4 address that the API server listens on and advertises. */
  readonly address: string;
  readonly ports: { readonly apiServer: number; readonly etcdClient: number; readonly etcdPeer: number };
  /** The URL in the kubeconfig for people and tests; where it differs from `address` and port, somebody forwards. */
  readonly publicServer: string;
  readonly auditLog: boolean;
}

export interface ControlPlane {
  readonly authority: Authority;
  /** For the lab itself, on the machine that the API server runs on. */
  readonly access: ApiAccess;
  readonly kubeconfigPath: string;
  readonly auditLogPath?: string;
  readonly etcd: DaemonSpec;
  readonly apiServer: DaemonSpec;
  readonly controllerManager: DaemonSpec;
  /** Writes a kubeconfig for the machine that the API server runs on, and answers its path. */
  componentKubeconfig(component: Component): string;
}

const serviceCidr = '10.96.0.0/16';
const kubernetesServiceAddress = '10.96.0.1';

type Component = 'kube-controller-manager' | 'kube-scheduler' | 'kube-proxy' | 'kubelet' | 'metrics-server' | 'coredns';
type Identity = Component | 'lab' | 'admin';

/**
 * Users and groups as the API server's default cluster roles expect them; the controller-manager has all rights itself, because
 * a service account for each of its controllers would make every start 4 s longer.
 */
const identities: ReadonlyMap<Identity, { readonly user: string; readonly groups: readonly string[] }> = new Map<Identity, { user: string; groups: string[] }>([
  ['lab', { user: 'lab', groups: ['system:masters'] }],
  ['admin', { user: 'admin', groups: ['system:masters'] }],
  ['kube-controller-manager', { user: 'system:kube-controller-manager', groups: ['system:masters'] }],
  ['kube-scheduler', { user: 'system:kube-scheduler', groups: [] }],
  ['kube-proxy', { user: 'system:kube-proxy', groups: [] }],
  ['kubelet', { user: 'system:node:node', groups: ['system:nodes'] }],
  ['metrics-server', { user: 'lab:metrics-server', groups: ['system:masters'] }],
  ['coredns', { user: 'lab:coredns', groups: ['system:masters'] }],
]);

/** Writes keys, tokens and kubeconfigs into the lab's folder and says how the three daemons are started. */
export function prepareControlPlane(options: ControlPlaneOptions): ControlPlane {
  const { folder } = options;
  const authority = createAuthority('lab');
  const tokens = createTokens(folder);
  const access = (who: Identity, server: string): ApiAccess => ({ server, caPem: authority.certificatePem, token: tokens.get(who) ?? '' });
  const localServer = `https://${options.address}:${options.ports.apiServer}`;
  const componentKubeconfig = (component: Component): string => folder.write(`kubeconfigs/${component}`, kubeconfig(access(component, localServer)));
  return {
    authority,
    access: access('lab', localServer),
    kubeconfigPath: folder.write('kubeconfig', kubeconfig(access('admin', options.publicServer))),
    ...(options.auditLog ? { auditLogPath: folder.file('audit.log') } : {}),
    etcd: etcd(options),
    apiServer: apiServer(options, authority),
    controllerManager: controllerManager(options, componentKubeconfig('kube-controller-manager')),
    componentKubeconfig,
  };
}

/** How a daemon of the Kubernetes binary is started. */
export function kubernetesDaemon(folder: LabFolder, name: string, flags: readonly string[]): DaemonSpec {
  return { name, command: [join(binFolder, 'kubernetes'), name, ...flags], logPath: folder.log(name) };
}

function createTokens(folder: LabFolder): ReadonlyMap<Identity, string> {
  const tokens = new Map([...identities.keys()].map((who) => [who, randomBytes(24).toString('hex')]));
  const lines = [...identities].map(([who, { user, groups }]) => `${tokens.get(who)},${user},${user},"${groups.join(',')}"\n`);
  folder.write('pki/tokens.csv', lines.join(''));
  return tokens;
}

function kubeconfig({ server, caPem, token }: ApiAccess): string {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'lab', cluster: { server, 'certificate-authority-data': Buffer.from(caPem).toString('base64') } }],
    users: [{ name: 'lab', user: { token } }],
    contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'lab' } }],
    'current-context': 'lab',
  };
  return `${JSON.stringify(config, undefined, 2)}\n`; // JSON is YAML
}

function etcd({ folder, ports }: ControlPlaneOptions): DaemonSpec {
  const client = `http://127.0.0.1:${ports.etcdClient}`;
  const peer = `http://127.0.0.1:${ports.etcdPeer}`;
  return kubernetesDaemon(folder, 'etcd', [
    '--name=lab',
    `--data-dir=${folder.file('etcd')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=lab=${peer}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
  ]);
}

function apiServer(options: ControlPlaneOptions, authority: Authority): DaemonSpec {
  const { folder, address, ports } = options;
  const hosts = ['127.0.0.1', 'localhost', address, kubernetesServiceAddress, 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local'];
  const serving = authority.issue({ commonName: 'kube-apiserver', hosts });
  const kubeletClient = authority.issue({ commonName: 'kube-apiserver', organization: 'system:masters' });
  // The authority of the front proxy must be another one than that of clients, or anybody with a client certificate could claim any name.
  const frontProxyAuthority = createAuthority('lab-front-proxy');
  const frontProxy = frontProxyAuthority.issue({ commonName: 'front-proxy' });
  const signing = createSigningKey();
  return kubernetesDaemon(folder, 'kube-apiserver', [
    `--bind-address=${address}`,
    `--advertise-address=${address}`,
    `--secure-port=${ports.apiServer}`,
    `--etcd-servers=http://127.0.0.1:${ports.etcdClient}`,
    `--service-cluster-ip-range=${serviceCidr}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--max-requests-inflight=2000',
    '--max-mutating-requests-inflight=1000',
    '--allow-privileged',
    `--client-ca-file=${folder.write('pki/ca.crt', authority.certificatePem)}`,
    `--tls-cert-file=${folder.write('pki/apiserver.crt', serving.certificatePem)}`,
    `--tls-private-key-file=${folder.write('pki/apiserver.key', serving.keyPem)}`,
    `--token-auth-file=${folder.file('pki/tokens.csv')}`,
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${folder.write('pki/service-account.pub', signing.publicPem)}`,
    `--service-account-signing-key-file=${folder.write('pki/service-account.key', signing.privatePem)}`,
    `--kubelet-certificate-authority=${folder.file('pki/ca.crt')}`,
    `--kubelet-client-certificate=${folder.write('pki/kubelet-client.crt', kubeletClient.certificatePem)}`,
    `--kubelet-client-key=${folder.write('pki/kubelet-client.key', kubeletClient.keyPem)}`,
    '--kubelet-preferred-address-types=InternalIP',
    '--enable-aggregator-routing',
    `--requestheader-client-ca-file=${folder.write('pki/front-proxy-ca.crt', frontProxyAuthority.certificatePem)}`,
    '--requestheader-allowed-names=front-proxy',
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    `--proxy-client-cert-file=${folder.write('pki/front-proxy.crt', frontProxy.certificatePem)}`,
    `--proxy-client-key-file=${folder.write('pki/front-proxy.key', frontProxy.keyPem)}`,
    ...(options.auditLog ? auditFlags(folder) : []),
  ]);
}

function auditFlags(folder: LabFolder): string[] {
  const policy = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived'], rules: [{ level: 'Metadata' }] };
  return [
    `--audit-policy-file=${folder.write('audit-policy.json', JSON.stringify(policy))}`,
    `--audit-log-path=${folder.file('audit.log')}`,
    '--audit-log-maxsize=4096', // MB; a log that is rotated cannot be counted
  ];
}

function controllerManager({ folder }: ControlPlaneOptions, kubeconfigPath: string): DaemonSpec {
  return kubernetesDaemon(folder, 'kube-controller-manager', [
    `--kubeconfig=${kubeconfigPath}`,
    '--leader-elect=false',
    '--secure-port=0',
    `--service-account-private-key-file=${folder.file('pki/service-account.key')}`,
    `--root-ca-file=${folder.file('pki/ca.crt')}`,
    '--horizontal-pod-autoscaler-sync-period=5s',
  ]);
}
