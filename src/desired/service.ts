import type { Microservice } from '../api/microservice.ts';
import { type Manifest, pruned } from './manifest.ts';
import { childMeta, fleetLabels, LABEL, microserviceLabels, versionChildName, versionLabels, versionSelector } from './names.ts';
import type { Port, Version } from './version.ts';

/** Only its EndpointSlices are wanted, so it is headless. */
export function versionService(microservice: Microservice, version: Version, ports: readonly Port[]): Manifest {
  const { name } = microservice.metadata;
  return pruned({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: childMeta(microservice, versionChildName(name, version.name), versionLabels(name, version.name)),
    spec: {
      clusterIP: 'None',
      selector: versionSelector(name, version.name),
      // By name, so that pods of two revisions with different ports are both reached on theirs.
      ports: ports.map((port) => servicePort(port, port.name)),
    },
  });
}

/** The Service that users call: in front of the fleet (`listenerPorts` by port name), or of the pods of all versions. */
export function userService(microservice: Microservice, ports: readonly Port[], listenerPorts: ReadonlyMap<string, number> | undefined): Manifest {
  const { spec } = microservice;
  const { name } = microservice.metadata;
  const isExternal = spec.serviceType === 'LoadBalancer' || spec.serviceType === 'NodePort';
  return pruned({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...childMeta(microservice, name, microserviceLabels(name)), annotations: spec.serviceAnnotations ?? {} },
    spec: {
      type: spec.serviceType ?? 'ClusterIP',
      loadBalancerClass: spec.serviceType === 'LoadBalancer' ? spec.loadBalancerClass : undefined,
      externalTrafficPolicy: isExternal ? spec.externalTrafficPolicy : undefined,
      selector: listenerPorts ? fleetLabels : { [LABEL.microservice]: name },
      ports: ports.map((port) => servicePort(port, listenerPorts?.get(port.name) ?? port.targetPort)),
    },
  });
}

const APP_PROTOCOL = { HTTP: 'http', GRPC: 'kubernetes.io/h2c', TCP: undefined } as const;

const servicePort = (port: Port, targetPort: number | string): object => ({
  name: port.name,
  port: port.port,
  targetPort,
  protocol: 'TCP',
  appProtocol: APP_PROTOCOL[port.protocol],
});
