import type { Bundled, Probe, Probes } from '../api/microservice.ts';
import type { Port, Version } from './version.ts';

interface ContainerProbes {
  readonly readinessProbe?: object | undefined;
  readonly livenessProbe?: object | undefined;
  readonly startupProbe?: object | undefined;
}

const PERIOD_SECONDS = 2;

/** The user's probes, each completed or replaced by a default that fits the protocol of the first port. */
export function containerProbes(version: Version, ports: readonly Port[], probes: Probes = {}): ContainerProbes {
  const defaults = defaultProbes(version.bundled, ports[0]);
  return {
    readinessProbe: containerProbe(probes.readiness ?? defaults.readiness, ports),
    livenessProbe: containerProbe(probes.liveness ?? defaults.liveness, ports),
    startupProbe: containerProbe(probes.startup, ports),
  };
}

/**
 * An unknown image gets a readiness probe that a correct service of its protocol cannot fail (a TCP connect, or the
 * standard gRPC health service) and no liveness probe: a wrong one would kill a healthy pod.
 */
function defaultProbes(bundled: Bundled | undefined, port: Port | undefined): Probes {
  if (!port) return {};
  if (bundled === 'hello-grpc') return { readiness: { grpc: {} }, liveness: { tcpSocket: {}, periodSeconds: 10 } };
  if (bundled) return { readiness: { httpGet: { path: '/readyz' } }, liveness: { httpGet: { path: '/healthz' }, periodSeconds: 10 } };
  return { readiness: port.protocol === 'GRPC' ? { grpc: {} } : { tcpSocket: {} } };
}

function containerProbe(probe: Probe | undefined, ports: readonly Port[]): object | undefined {
  if (!probe) return undefined;
  const { httpGet: _httpGet, grpc: _grpc, tcpSocket: _tcpSocket, exec: _exec, ...timing } = probe;
  return { ...handler(probe, ports), periodSeconds: PERIOD_SECONDS, ...timing };
}

function handler({ httpGet, grpc, tcpSocket, exec }: Probe, ports: readonly Port[]): object {
  if (httpGet) return { httpGet: { path: httpGet.path ?? '/', port: containerPort(ports, httpGet.port) } };
  if (grpc) return { grpc: { port: containerPort(ports, grpc.port), service: grpc.service } };
  if (tcpSocket) return { tcpSocket: { port: containerPort(ports, tcpSocket.port) } };
  return { exec: { command: exec?.command } };
}

const containerPort = (ports: readonly Port[], name: string | undefined): number | undefined =>
  (name === undefined ? ports[0] : ports.find((port) => port.name === name))?.targetPort;
