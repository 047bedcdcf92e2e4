/** Why it is not ready, in words: signals of pods, Deployments and proxies reduced to a cause, the object and the fix. */
import type { Blocker } from '../api/microservice.ts';
import { requiredConfigMapNames } from '../desired/config-hash.ts';
import { LABEL } from '../desired/names.ts';
import type { ContainerStatus, Deployment, Observed, Pod, Terminated } from '../desired/observed.ts';
import type { Version } from '../desired/version.ts';

const MAX_BLOCKERS = 10;
const MAX_MESSAGE_LENGTH = 1024;
/** A container that runs this long without being Ready is failing its probe rather than starting. */
const PROBE_PATIENCE_MS = 6_000;
/** Mounting a volume takes a moment even when all is well. */
const VOLUME_PATIENCE_MS = 5_000;

export function blockers(observed: Observed, versions: readonly Version[], nowMs: number): readonly Blocker[] {
  const found = [
    ...missingConfigMaps(observed, versions),
    ...observed.children.filter((child) => child.kind === 'Deployment').flatMap((child) => deploymentBlockers(child as Deployment)),
    ...observed.pods.flatMap((pod) => podBlocker(pod, nowMs) ?? []),
    ...trafficBlockers(observed),
    ...(observed.traffic.readyProxies === 0 ? observed.proxyPods.flatMap((pod) => podBlocker(pod, nowMs) ?? []) : []),
  ];
  return merged(found).slice(0, MAX_BLOCKERS);
}

/** When to look again although no event may come: the earliest moment at which patience with a starting pod ends. */
export function patienceEndsInMs(pods: readonly Pod[], nowMs: number): number | undefined {
  const ends = pods.filter((pod) => isStarting(pod)).map((pod) => startedMs(pod) + patienceMs(pod) - nowMs);
  const pending = ends.filter((ms) => ms > 0);
  return pending.length > 0 ? Math.min(...pending) + 100 : undefined;
}

function missingConfigMaps(observed: Observed, versions: readonly Version[]): readonly Blocker[] {
  const { spec, metadata } = observed.microservice;
  const names = new Set(versions.flatMap((version) => requiredConfigMapNames(spec, version)));
  return [...names]
    .filter((name) => !observed.configMaps.has(name))
    .map((name) => ({
      reason: 'ConfigMapMissing',
      object: `ConfigMap/${name}`,
      message: `ConfigMap ${name} does not exist in namespace ${metadata.namespace}: create it, or remove it from files, envFrom or env. Pods start as soon as it is there.`,
    }));
}

function deploymentBlockers(deployment: Deployment): readonly Blocker[] {
  const conditions = deployment.status?.conditions ?? [];
  const about = { ...versionOf(deployment.metadata.labels), object: `Deployment/${deployment.metadata.name}` };
  const refused = conditions.find((condition) => condition.type === 'ReplicaFailure' && condition.status === 'True');
  const late = conditions.find((condition) => condition.type === 'Progressing' && condition.reason === 'ProgressDeadlineExceeded');
  return [
    ...(refused ? [{ ...about, ...podRefusal(refused.message ?? '') }] : []),
    ...(late ? [{ ...about, reason: 'ProgressDeadlineExceeded', message: `The rollout has made no progress for 10 minutes: ${late.message ?? ''}. The pods of the last good revision keep serving.` }] : []),
  ];
}

function podRefusal(message: string): { readonly reason: string; readonly message: string } {
  if (message.includes('exceeded quota')) {
    return { reason: 'QuotaExceeded', message: `${message}. Raise the ResourceQuota, or lower replicas or resources; Kubernetes tries again by itself.` };
  }
  if (message.includes('PodSecurity')) {
    return { reason: 'PodSecurityViolation', message: `${message}. Remove podSecurity: Baseline, or relax the namespace's Pod Security level.` };
  }
  return { reason: 'PodsRefused', message: `The API server refuses the pods: ${message}` };
}

function podBlocker(pod: Pod, nowMs: number): Blocker | undefined {
  if (hasEnded(pod) || isReady(pod)) return undefined;
  const cause = unschedulable(pod) ?? containerCause(pod) ?? startCause(pod, nowMs);
  return cause && { ...versionOf(pod.metadata.labels), object: `Pod/${pod.metadata.name}`, ...cause };
}

interface Cause {
  readonly reason: string;
  readonly message: string;
}

function unschedulable(pod: Pod): Cause | undefined {
  const condition = pod.status?.conditions?.find((candidate) => candidate.type === 'PodScheduled' && candidate.status === 'False');
  if (condition?.reason !== 'Unschedulable') return undefined;
  return { reason: 'Unschedulable', message: `No node takes the pod: ${condition.message ?? ''} Check resources.requests and scheduling; the scheduler tries again when the cluster changes.` };
}

function containerCause(pod: Pod): Cause | undefined {
  for (const status of pod.status?.containerStatuses ?? []) {
    const cause = waitingCause(status) ?? crashCause(status);
    if (cause) return cause;
  }
  return undefined;
}

const IMAGE_REASONS: ReadonlySet<string> = new Set(['ImagePullBackOff', 'ErrImagePull', 'InvalidImageName', 'ErrImageNeverPull', 'ImageInspectError', 'RegistryUnavailable', 'SignatureValidationFailed']);

function waitingCause({ state }: ContainerStatus): Cause | undefined {
  const { reason, message } = state?.waiting ?? {};
  if (reason === undefined) return undefined;
  if (IMAGE_REASONS.has(reason)) {
    return { reason: 'ImagePullFailed', message: `The image cannot be pulled: ${message ?? reason}. Correct image, or add imagePullSecrets; the kubelet tries again with a delay of up to 5 minutes.` };
  }
  if (reason === 'CreateContainerConfigError') return { reason: 'ContainerConfigInvalid', message: `${message ?? reason}. ${configFix(message ?? '')}` };
  if (reason === 'CreateContainerError' || reason === 'RunContainerError') return { reason: 'ContainerStartFailed', message: `The container cannot start: ${message ?? reason}. Check command, args and image.` };
  return undefined;
}

function configFix(message: string): string {
  if (message.includes('runAsNonRoot')) return 'Give the image a numeric non-root USER, or set podSecurity: Baseline.';
  return 'Create what is missing, or remove the reference; the kubelet tries again by itself.';
}

function crashCause(status: ContainerStatus): Cause | undefined {
  const ended = lastEnd(status);
  const restarts = `${status.restartCount} restarts`;
  if (!ended) return status.state?.waiting?.reason === 'CrashLoopBackOff' ? { reason: 'CrashLoop', message: `The container does not stay up (${restarts}). See kubectl logs --previous.` } : undefined;
  if (ended.reason === 'OOMKilled') return { reason: 'OutOfMemory', message: `The container was killed for using more memory than its limit (${restarts}). Raise resources.limits.memory.` };
  const said = ended.message ? `: ${ended.message.trim()}` : '';
  return { reason: 'CrashLoop', message: `The container ends with exit code ${ended.exitCode}${said} (${restarts}). See kubectl logs --previous; the kubelet restarts it with a growing delay.` };
}

/** How it ended, unless it is running again. */
function lastEnd({ state, lastState, restartCount }: ContainerStatus): Terminated | undefined {
  if (state?.terminated) return state.terminated;
  return restartCount > 0 && !state?.running ? lastState?.terminated : undefined;
}

function startCause(pod: Pod, nowMs: number): Cause | undefined {
  if (!isStarting(pod) || nowMs - startedMs(pod) < patienceMs(pod)) return undefined;
  if (isRunning(pod)) {
    return { reason: 'ProbeFailing', message: 'The container runs but its readiness probe has not succeeded. Check probes.readiness and ports[].targetPort; kubectl describe pod shows the last answer.' };
  }
  // With its volumes and its network there (KEP-3085), all that is left is to pull the image.
  if (isTrue(pod, 'PodReadyToStartContainers')) return undefined;
  return { reason: 'VolumesPending', message: 'The pod waits for its volumes. Check that the claim of storage and each Secret and ConfigMap of files exist; kubectl describe pod names the one.' };
}

/** An evicted pod is Failed for good; its ReplicaSet has made another one. */
const hasEnded = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined || pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';

const isTrue = (pod: Pod, type: string): boolean => pod.status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false;

const isReady = (pod: Pod): boolean => isTrue(pod, 'Ready');

const isRunning = (pod: Pod): boolean => pod.status?.containerStatuses?.some((status) => status.state?.running !== undefined) ?? false;

const isStarting = (pod: Pod): boolean =>
  !hasEnded(pod) && !isReady(pod) && isTrue(pod, 'PodScheduled');

const patienceMs = (pod: Pod): number => (isRunning(pod) ? PROBE_PATIENCE_MS : VOLUME_PATIENCE_MS);

/** Kubernetes writes whole seconds. */
function startedMs(pod: Pod): number {
  const running = pod.status?.containerStatuses?.map((status) => status.state?.running?.startedAt).find((at) => at !== undefined);
  const scheduled = pod.status?.conditions?.find((condition) => condition.type === 'PodScheduled')?.lastTransitionTime;
  return Date.parse(running ?? scheduled ?? pod.metadata.creationTimestamp ?? '');
}

function trafficBlockers({ traffic, fleetProblem }: Observed): readonly Blocker[] {
  const fleet = fleetProblem ? [{ reason: 'FleetBlocked', object: 'Deployment/microservice-fleet', message: `${fleetProblem.reason}: ${fleetProblem.message}` }] : [];
  const failed = traffic.failure === undefined ? [] : [{ reason: 'TrafficNotComputed', object: 'Deployment/microservice-fleet', message: `The proxies keep the last good configuration: ${traffic.failure}` }];
  const silent = traffic.silentProxies.map((proxy) => ({
    reason: 'ProxySilent',
    object: `Pod/${proxy}`,
    message: 'The proxy is Ready but has not acknowledged the configuration for 30 s. A NetworkPolicy may keep it from the operator; deleting the pod is safe.',
  }));
  if (!traffic.rejected) return [...failed, ...fleet, ...silent];
  const { proxy, message } = traffic.rejected;
  return [{ reason: 'ConfigurationRejected', object: `Pod/${proxy}`, message: `Envoy keeps the last good configuration; it refused the new one: ${message}` }, ...failed, ...fleet, ...silent];
}

const versionOf = (labels: Readonly<Record<string, string>> | undefined): { readonly version?: string } => {
  const version = labels?.[LABEL.version];
  return version === undefined ? {} : { version };
};

/** One blocker for each cause and version, naming the first pod; ten crashing pods are one problem. */
function merged(found: readonly Blocker[]): readonly Blocker[] {
  const groups = Map.groupBy(found, (blocker) => `${blocker.version ?? ''}/${blocker.reason}/${blocker.object.startsWith('Pod/') ? '' : blocker.object}`);
  return [...groups.values()].map((group) => {
    const [first, ...others] = group.toSorted((a, b) => (a.object < b.object ? -1 : 1)) as [Blocker, ...Blocker[]];
    const suffix = others.length > 0 ? ` (and ${others.length} more)` : '';
    return { ...first, message: `${first.message.slice(0, MAX_MESSAGE_LENGTH)}${suffix}` };
  });
}
