import { join } from 'node:path';
import { kubernetesDaemon } from './control-plane.ts';
import type { ControlPlane } from './control-plane.ts';
import type { DaemonSpec } from './daemon.ts';
import { binFolder } from './lab-folder.ts';
import type { LabFolder } from './lab-folder.ts';
import { cniFolder } from './requirements.ts';
import { nodeAddress, podCidr } from './node-machine.ts';

export const nodeName = 'node';
export const pauseImage = 'microservice-operator/pause:1';
export const containerdSocket = '/run/containerd/containerd.sock';
export const apiServerPort = 6443;
export const metricsServerPort = 4443;

export function containerd(folder: LabFolder): DaemonSpec {
  const cni = {
    cniVersion: '1.0.0',
    name: 'lab',
    plugins: [
      // Every pod behind a route of its own: over a bridge, answers of a Service's pod on the same node would bypass kube-proxy's rules.
      { type: 'ptp', mtu: 1500, ipam: { type: 'host-local', ranges: [[{ subnet: podCidr }]], routes: [{ dst: '0.0.0.0/0' }] } },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
  folder.write('cni/lab.conflist', JSON.stringify(cni));
  const config = folder.write('containerd.toml', containerdConfig(folder.file('cni')));
  return { name: 'containerd', command: ['containerd', `--config=${config}`], logPath: folder.log('containerd') };
}

function containerdConfig(cniConfig: string): string {
  return `version = 2
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "${containerdSocket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "/run/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  restrict_oom_score_adj = true # lowering it needs CAP_SYS_RESOURCE
  disable_apparmor = true # its profile would stay in the machine's kernel
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${cniFolder}"
    conf_dir = "${cniConfig}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
`;
}

export function kubelet(folder: LabFolder, plane: ControlPlane, cgroupRoot: string): DaemonSpec {
  const serving = plane.authority.issue({ commonName: `system:node:${nodeName}`, organization: 'system:nodes', hosts: [nodeName, nodeAddress] });
  const config = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: nodeAddress,
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: folder.file('pki/ca.crt') } },
    authorization: { mode: 'Webhook' },
    tlsCertFile: folder.write('pki/kubelet.crt', serving.certificatePem),
    tlsPrivateKeyFile: folder.write('pki/kubelet.key', serving.keyPem),
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    cgroupDriver: 'cgroupfs',
    cgroupRoot,
    failCgroupV1: false,
    failSwapOn: false,
    oomScoreAdj: 0,
    clusterDomain: 'cluster.local',
    clusterDNS: [nodeAddress],
    resolvConf: '',
    maxPods: 250,
    nodeStatusUpdateFrequency: '5s',
    // The disk is the machine's: how full it is must not decide about pods and images.
    evictionHard: { 'memory.available': '0%', 'nodefs.available': '0%', 'nodefs.inodesFree': '0%', 'imagefs.available': '0%', 'imagefs.inodesFree': '0%' },
    imageGCHighThresholdPercent: 100,
    imageMaximumGCAge: '0s',
  };
  return kubernetesDaemon(folder, 'kubelet', [
    `--config=${folder.write('kubelet.json', JSON.stringify(config))}`,
    `--kubeconfig=${plane.componentKubeconfig('kubelet')}`,
    `--hostname-override=${nodeName}`,
    `--node-ip=${nodeAddress}`,
  ]);
}

export function kubeProxy(folder: LabFolder, plane: ControlPlane): DaemonSpec {
  const config = {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig: plane.componentKubeconfig('kube-proxy') },
    hostnameOverride: nodeName,
    mode: 'nftables',
    clusterCIDR: podCidr,
    oomScoreAdj: 0,
    // These limits belong to the machine, not to the network namespace.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  };
  return kubernetesDaemon(folder, 'kube-proxy', [`--config=${folder.write('kube-proxy.json', JSON.stringify(config))}`]);
}

export function scheduler(folder: LabFolder, plane: ControlPlane): DaemonSpec {
  return kubernetesDaemon(folder, 'kube-scheduler', [`--kubeconfig=${plane.componentKubeconfig('kube-scheduler')}`, '--leader-elect=false', '--secure-port=0']);
}

/** The name server of the cluster, on the node's address. Names outside of the cluster do not exist, and that is said at once. */
export function coreDns(folder: LabFolder, plane: ControlPlane): DaemonSpec {
  const corefile = `cluster.local in-addr.arpa {
  bind ${nodeAddress}
  errors
  kubernetes {
    kubeconfig ${plane.componentKubeconfig('coredns')} lab
  }
}
. {
  bind ${nodeAddress}
  errors
  template ANY ANY {
    rcode NXDOMAIN
  }
}
`;
  return { name: 'coredns', command: [join(binFolder, 'coredns'), '-conf', folder.write('Corefile', corefile)], logPath: folder.log('coredns') };
}

export function metricsServer(folder: LabFolder, plane: ControlPlane): DaemonSpec {
  const serving = plane.authority.issue({ commonName: 'metrics-server', hosts: ['metrics-server.kube-system.svc', nodeAddress] });
  const kubeconfig = plane.componentKubeconfig('metrics-server');
  return kubernetesDaemon(folder, 'metrics-server', [
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    `--bind-address=${nodeAddress}`,
    `--secure-port=${metricsServerPort}`,
    `--tls-cert-file=${folder.write('pki/metrics-server.crt', serving.certificatePem)}`,
    `--tls-private-key-file=${folder.write('pki/metrics-server.key', serving.keyPem)}`,
    `--kubelet-certificate-authority=${folder.file('pki/ca.crt')}`,
    '--kubelet-preferred-address-types=InternalIP',
    '--metric-resolution=10s',
    '--kubelet-request-timeout=5s',
  ]);
}
