import { metricsServerPort } from './node-daemons.ts';
import { nodeAddress } from './node-machine.ts';
import { provisioner } from './volume-provisioner.ts';

/** The objects that belong to daemons which run beside the cluster: the collection to post to, and the object. */
export function addOns(caPem: string): readonly { readonly path: string; readonly body: object }[] {
  const metadata = { name: 'metrics-server', namespace: 'kube-system' };
  return [
    {
      path: '/apis/storage.k8s.io/v1/storageclasses',
      body: {
        metadata: { name: 'standard', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
        provisioner,
        reclaimPolicy: 'Delete',
        volumeBindingMode: 'Immediate',
      },
    },
    {
      path: '/api/v1/namespaces/kube-system/services',
      body: { metadata, spec: { ports: [{ name: 'https', port: 443, targetPort: metricsServerPort }] } },
    },
    {
      path: '/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices',
      body: {
        metadata: { ...metadata, labels: { 'kubernetes.io/service-name': metadata.name } },
        addressType: 'IPv4',
        ports: [{ name: 'https', port: metricsServerPort }],
        endpoints: [{ addresses: [nodeAddress], conditions: { ready: true } }],
      },
    },
    {
      path: '/apis/apiregistration.k8s.io/v1/apiservices',
      body: {
        metadata: { name: 'v1beta1.metrics.k8s.io' },
        spec: {
          service: metadata,
          group: 'metrics.k8s.io',
          version: 'v1beta1',
          caBundle: Buffer.from(caPem).toString('base64'),
          groupPriorityMinimum: 100,
          versionPriority: 100,
        },
      },
    },
  ];
}
