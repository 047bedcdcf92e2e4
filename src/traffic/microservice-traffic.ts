/** What the proxies should be told about one Microservice. */
import type { Protocol } from '../api/microservice.ts';
import { cluster, clusterName, loadAssignment, tcpClusterName, tcpEndpoints } from './cluster.ts';
import { type EndpointSlice, endpoints, hasReadyEndpoint } from './endpoint.ts';
import { httpListener, listenerName, tcpListener } from './listener.ts';
import type { Resource } from './resource.ts';
import { routeConfiguration } from './route.ts';
import { effectiveWeights } from './weights.ts';

export interface TrafficInput {
  readonly name: string;
  readonly ports: readonly TrafficPort[];
  /** The wanted versions, and those removed from the spec whose Service still exists: they keep their clusters while they drain. */
  readonly versions: readonly TrafficVersion[];
}

interface TrafficPort {
  readonly name: string;
  readonly protocol: Protocol;
  /** Where the proxies listen. */
  readonly listenerPort: number;
}

export interface TrafficVersion {
  readonly name: string;
  /** Undefined: removed from the spec. */
  readonly weight: number | undefined;
  /** It gets requests under the configuration that is in force now. */
  readonly isServing: boolean;
  readonly slices: readonly EndpointSlice[];
}

export interface MicroserviceTraffic {
  /** By port name. */
  readonly byPort: ReadonlyMap<string, readonly Resource[]>;
  /** The weights that these resources put in force, by version. Ports are of the same pods, so the first port speaks for all. */
  readonly weights: ReadonlyMap<string, number>;
  /** Ports on which a request meets a pod, or would if any pod were ready at all. */
  readonly servedPorts: ReadonlySet<string>;
}

export function microserviceTraffic(input: TrafficInput): MicroserviceTraffic {
  const weights = new Map(input.ports.map((port) => [port.name, portWeights(input, port)]));
  const isAnyReady = input.ports.some((port) => isServed(input, port));
  return {
    byPort: new Map(input.ports.map((port) => [port.name, resources(input, port, weights.get(port.name) ?? new Map())])),
    weights: weights.get(input.ports[0]?.name ?? '') ?? new Map(),
    servedPorts: new Set(input.ports.filter((port) => !isAnyReady || isServed(input, port)).map((port) => port.name)),
  };
}

const isServed = (input: TrafficInput, port: TrafficPort): boolean => input.versions.some((version) => hasReadyEndpoint(version.slices, port.name));

const portWeights = (input: TrafficInput, port: TrafficPort): ReadonlyMap<string, number> =>
  effectiveWeights(input.versions.map(({ name, weight, isServing, slices }) => ({ version: name, weight, isServing, isReady: hasReadyEndpoint(slices, port.name) })));

const resources = (input: TrafficInput, port: TrafficPort, weights: ReadonlyMap<string, number>): readonly Resource[] =>
  port.protocol === 'TCP' ? tcpResources(input, port, weights) : httpResources(input, port, port.protocol, weights);

function httpResources(input: TrafficInput, port: TrafficPort, protocol: 'HTTP' | 'GRPC', weights: ReadonlyMap<string, number>): readonly Resource[] {
  const name = listenerName(input.name, port.name);
  const split = [...weights].map(([version, weight]) => ({ cluster: clusterName(input.name, version, port.name), weight }));
  return [
    ...input.versions.map((version) => cluster(clusterName(input.name, version.name, port.name), protocol)),
    ...input.versions.map((version) => loadAssignment(clusterName(input.name, version.name, port.name), endpoints(version.slices, port.name))),
    httpListener(name, port.listenerPort, protocol),
    routeConfiguration(name, split),
  ];
}

function tcpResources(input: TrafficInput, port: TrafficPort, weights: ReadonlyMap<string, number>): readonly Resource[] {
  const name = tcpClusterName(input.name, port.name);
  const weighted = input.versions.map((version) => ({ weight: weights.get(version.name) ?? 0, endpoints: endpoints(version.slices, port.name) }));
  return [cluster(name, 'TCP'), loadAssignment(name, tcpEndpoints(weighted)), tcpListener(listenerName(input.name, port.name), port.listenerPort, name)];
}
