/** What one pass has seen: a frozen snapshot. Planning code is handed data, so it cannot write. */
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import type { Microservice } from '../api/microservice.ts';
import { versionChildName } from './names.ts';

export interface Observed {
  readonly microservice: Microservice;
  /** Every object of a child kind that carries our label for this Microservice. */
  readonly children: readonly KubernetesObject[];
  readonly pods: readonly Pod[];
  /** Content hashes of those referenced ConfigMaps that exist, by name. */
  readonly configMaps: ReadonlyMap<string, string>;
  /** The Envoy pods of this namespace. */
  readonly proxyPods: readonly Pod[];
  /** Why they cannot be made as they should be. */
  readonly fleetProblem?: { readonly reason: string; readonly message: string };
  readonly traffic: TrafficObserved;
}

/** What the proxies of the namespace hold for this Microservice. */
export interface TrafficObserved {
  /** By port name; an unknown port is not allocated yet. */
  readonly listenerPorts: ReadonlyMap<string, number>;
  /** Weights in the newest configuration, by version. */
  readonly applied: ReadonlyMap<string, number>;
  /** Every Ready proxy (at least one) held a listener for each port when last all were asked, and behind each port is somebody to answer. */
  readonly isListening: boolean;
  /** Every Ready proxy holds the newest weights. */
  readonly isAcknowledged: boolean;
  readonly acknowledgedTime?: string;
  readonly delayMs?: number;
  /** Removed versions that no proxy sends to any more, and whose drain delay is over. */
  readonly drained: ReadonlySet<string>;
  /** Ready proxies, and those of them that have not answered for too long. */
  readonly readyProxies: number;
  readonly silentProxies: readonly string[];
  /** Why the proxies could not be told of the newest spec. */
  readonly failure?: string;
  /** Something here changes then without an event. */
  readonly lookAgainInMs?: number;
  readonly rejected?: { readonly proxy: string; readonly message: string };
}

export interface Deployment extends KubernetesObject {
  readonly spec: { readonly replicas?: number; readonly template?: { readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> } } };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly readyReplicas?: number;
    readonly updatedReplicas?: number;
    readonly availableReplicas?: number;
    readonly conditions?: readonly ChildCondition[];
  };
}

interface ChildCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

export interface Service extends KubernetesObject {
  readonly spec: {
    readonly type?: string;
    readonly clusterIP?: string;
    readonly selector?: Readonly<Record<string, string>>;
    readonly ports?: readonly { readonly name?: string; readonly port: number; readonly targetPort?: number | string }[];
  };
  readonly status?: { readonly loadBalancer?: { readonly ingress?: readonly { readonly ip?: string; readonly hostname?: string }[] } };
}

export interface HorizontalPodAutoscaler extends KubernetesObject {
  readonly status?: { readonly currentReplicas?: number; readonly desiredReplicas?: number; readonly conditions?: readonly ChildCondition[] };
}

export interface Pod extends KubernetesObject {
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly (ChildCondition & { readonly lastTransitionTime?: string })[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
}

export interface ContainerStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly restartCount: number;
  readonly state?: {
    readonly waiting?: { readonly reason?: string; readonly message?: string };
    readonly running?: { readonly startedAt?: string };
    readonly terminated?: Terminated;
  };
  readonly lastState?: { readonly terminated?: Terminated };
}

export interface Terminated {
  readonly exitCode: number;
  readonly reason?: string;
  readonly message?: string;
}

export const deploymentOf = (observed: Observed, version: string): Deployment | undefined =>
  find<Deployment>(observed, 'Deployment', versionChildName(observed.microservice.metadata.name, version));

export const autoscalerOf = (observed: Observed, version: string): HorizontalPodAutoscaler | undefined =>
  find<HorizontalPodAutoscaler>(observed, 'HorizontalPodAutoscaler', versionChildName(observed.microservice.metadata.name, version));

/** The Service that users call. */
export const userServiceOf = (observed: Observed): Service | undefined => find<Service>(observed, 'Service', observed.microservice.metadata.name);

const find = <T extends KubernetesObject>({ children }: Observed, kind: string, name: string): T | undefined =>
  children.find((child): child is T => child.kind === kind && child.metadata.name === name);
