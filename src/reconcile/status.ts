/** The status of one Microservice, computed from what the API server returned and the proxies said. */
import { CONDITION } from '../api/condition.ts';
import type { Blocker, Condition, Microservice, MicroserviceStatus, VersionStatus, WeightStatus } from '../api/microservice.ts';
import { LABEL, versionChildName } from '../desired/names.ts';
import type { Deployment, HorizontalPodAutoscaler, Observed, Service } from '../desired/observed.ts';
import { type Port, ports, provider, type Version } from '../desired/version.ts';
import type { Problem } from './ports.ts';

export interface StatusInput {
  /** With the children as the API server returned them. */
  readonly observed: Observed;
  readonly versions: readonly Version[];
  readonly blockers: readonly Blocker[];
  readonly waitsFor: readonly string[];
  /** A problem that stopped the pass before it wrote anything. */
  readonly problem: Problem | undefined;
  readonly nowMs: number;
}

type Verdict = Pick<Condition, 'status' | 'reason' | 'message'>;

export function status(input: StatusInput): MicroserviceStatus {
  const { observed, versions } = input;
  const { microservice } = observed;
  const versionStatuses = versions.map((version) => versionStatus(version, input));
  const url = serviceUrl(observed);
  return {
    observedGeneration: microservice.metadata.generation ?? 0,
    conditions: conditions(input, versionStatuses),
    versions: versionStatuses,
    blockers: input.blockers,
    replicas: sum(versionStatuses.map((version) => version.replicas)),
    readyReplicas: sum(versionStatuses.map((version) => version.readyReplicas)),
    selector: `${LABEL.microservice}=${microservice.metadata.name}`,
    ...(url === undefined ? {} : { url }),
    ...(ports(microservice.spec).length === 0 ? {} : { traffic: trafficColumn(versionStatuses) }),
  };
}

const trafficColumn = (versions: readonly VersionStatus[]): string => versions.map((version) => `${version.name} ${version.weight?.applied ?? 0}`).join(', ');

function versionStatus(version: Version, input: StatusInput): VersionStatus {
  const { observed } = input;
  const live = deploymentOf(observed, version);
  const revision = live?.metadata.annotations?.['deployment.kubernetes.io/revision'];
  const weight = weightStatus(version, input);
  return {
    name: version.name,
    image: version.image,
    replicas: live?.status?.replicas ?? 0,
    readyReplicas: live?.status?.readyReplicas ?? 0,
    ...(revision === undefined ? {} : { revision }),
    ...(weight === undefined ? {} : { weight }),
  };
}

function weightStatus(version: Version, { observed, versions }: StatusInput): WeightStatus | undefined {
  const { microservice, traffic } = observed;
  if (ports(microservice.spec).length === 0) return undefined;
  if (provider(microservice.spec) === 'Service') return { desired: version.weight, applied: approximateShare(version, observed, versions) };
  const applied = traffic.applied.get(version.name) ?? 0;
  const receipt = { desired: version.weight, applied };
  const before = microservice.status?.versions?.find((candidate) => candidate.name === version.name)?.weight;
  if (!traffic.isAcknowledged) return before?.acknowledged === undefined ? receipt : { ...receipt, ...receiptFields(before) };
  // A restarted operator hears the same hash again: the receipt of then still holds, and 500 statuses need no rewrite.
  if (before?.acknowledged === applied && before.applied === applied && before.acknowledgedTime !== undefined && traffic.delayMs === undefined) return { ...receipt, ...receiptFields(before) };
  return {
    ...receipt,
    acknowledged: applied,
    ...(traffic.delayMs === undefined ? {} : { delayMs: traffic.delayMs }),
    ...(traffic.acknowledgedTime === undefined ? {} : { acknowledgedTime: traffic.acknowledgedTime }),
  };
}

const receiptFields = ({ acknowledged, delayMs, acknowledgedTime }: WeightStatus): Partial<WeightStatus> => ({
  ...(acknowledged === undefined ? {} : { acknowledged }),
  ...(delayMs === undefined ? {} : { delayMs }),
  ...(acknowledgedTime === undefined ? {} : { acknowledgedTime }),
});

/** Without a proxy each Ready pod gets the same share, so the split is the ratio of Ready pods: in percent. */
function approximateShare(version: Version, observed: Observed, versions: readonly Version[]): number {
  const ready = (candidate: Version): number => deploymentOf(observed, candidate)?.status?.readyReplicas ?? 0;
  const total = sum(versions.map(ready));
  return total === 0 ? 0 : Math.round((100 * ready(version)) / total);
}

function conditions(input: StatusInput, versions: readonly VersionStatus[]): readonly Condition[] {
  const { microservice } = input.observed;
  const parts: readonly (readonly [string, Verdict | undefined])[] = [
    [CONDITION.accepted, accepted(input)],
    [CONDITION.available, available(input, versions)],
    [CONDITION.trafficApplied, trafficApplied(input, versions)],
    [CONDITION.autoscalingActive, autoscalingActive(input)],
  ];
  const progress = progressReason(input);
  const ready = readiness(input, parts, progress);
  const stuck = stalled(input);
  const all = [
    [CONDITION.ready, ready] as const,
    // kstatus: never with Stalled, and a paused one makes no progress either.
    [CONDITION.reconciling, stuck || ready.status !== 'False' ? undefined : yes(ready.reason, ready.message)] as const,
    [CONDITION.stalled, stuck] as const,
    ...parts,
  ];
  return all.flatMap(([type, verdict]) => (verdict ? [condition(type, verdict, microservice, input.nowMs)] : []));
}

function condition(type: string, verdict: Verdict, microservice: Microservice, nowMs: number): Condition {
  const before = microservice.status?.conditions?.find((candidate) => candidate.type === type);
  return {
    type,
    ...verdict,
    observedGeneration: microservice.metadata.generation ?? 0,
    lastTransitionTime: before?.status === verdict.status ? before.lastTransitionTime : new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z'),
  };
}

const yes = (reason: string, message: string): Verdict => ({ status: 'True', reason, message });
const no = (reason: string, message: string): Verdict => ({ status: 'False', reason, message });

const accepted = ({ problem }: StatusInput): Verdict => (problem ? no(problem.reason, problem.message) : yes('Valid', 'The spec is valid and its children are ours.'));

function stalled(input: StatusInput): Verdict | undefined {
  if (input.problem) return yes(input.problem.reason, input.problem.message);
  const late = input.blockers.find((blocker) => blocker.reason === 'ProgressDeadlineExceeded');
  return late && yes(late.reason, late.message);
}

/** Every version that is to get traffic has a Ready pod. */
function available({ versions }: StatusInput, statuses: readonly VersionStatus[]): Verdict {
  const unready = statuses.filter((version, index) => (versions[index]?.weight ?? 0) > 0 && version.readyReplicas === 0);
  if (unready.length === 0) return yes('PodsReady', 'Every version with weight has a Ready pod.');
  return no('NoReadyPods', `No Ready pod: ${unready.map((version) => version.name).join(', ')}.`);
}

function trafficApplied({ observed, blockers }: StatusInput, versions: readonly VersionStatus[]): Verdict | undefined {
  const { spec } = observed.microservice;
  if (ports(spec).length === 0) return undefined;
  const split = versions.map((version) => `${version.name} ${version.weight?.applied ?? 0}`).join(', ');
  if (provider(spec) === 'Service') {
    return yes('Approximate', versions.length > 1 ? `The split follows the number of Ready pods, in percent: ${split}.` : 'All requests go to the one version.');
  }
  const rejected = blockers.find((blocker) => blocker.reason === 'ConfigurationRejected');
  if (rejected) return no(rejected.reason, rejected.message);
  if (observed.traffic.readyProxies === 0) return no('NoReadyProxy', 'No proxy of microservice-fleet is Ready yet.');
  if (!observed.traffic.isAcknowledged) return no('WaitingForProxies', `The proxies have not all acknowledged ${split}.`);
  const differing = versions.filter((version) => version.weight?.applied !== version.weight?.desired);
  if (differing.length > 0) return no('WaitingForEndpoints', `Without a Ready pod a version gets no traffic: ${differing.map((version) => version.name).join(', ')}. In force: ${split}.`);
  return yes('Acknowledged', `Every Ready proxy holds ${split}.`);
}

function autoscalingActive({ observed, versions }: StatusInput): Verdict | undefined {
  const autoscaled = versions.filter((version) => version.autoscaling);
  if (autoscaled.length === 0) return undefined;
  const both = observed.microservice.spec.replicas !== undefined && observed.microservice.spec.replicas > 1 ? ' spec.replicas is ignored while autoscaling is on.' : '';
  for (const version of autoscaled) {
    const name = versionChildName(observed.microservice.metadata.name, version.name);
    const live = observed.children.find((child) => child.kind === 'HorizontalPodAutoscaler' && child.metadata.name === name) as HorizontalPodAutoscaler | undefined;
    const active = live?.status?.conditions?.find((candidate) => candidate.type === 'ScalingActive');
    if (active?.status !== 'True') return no(active?.reason ?? 'Pending', `${version.name}: ${active?.message ?? 'the autoscaler has not reported yet'}.${both}`);
  }
  return yes('ScalingActive', `The autoscalers read their metrics.${both}`);
}

function readiness(input: StatusInput, parts: readonly (readonly [string, Verdict | undefined])[], progress: Verdict | undefined): Verdict {
  if (input.observed.microservice.spec.paused) return { status: 'Unknown', reason: 'Paused', message: 'spec.paused is true: nothing is changed or repaired.' };
  if (input.problem) return no(input.problem.reason, input.problem.message);
  const blocker = input.blockers[0];
  if (blocker) return no(blocker.reason, `${blocker.object}: ${blocker.message}`);
  if (progress) return progress;
  const failing = parts.find(([type, verdict]) => verdict?.status === 'False' && type !== CONDITION.autoscalingActive)?.[1];
  return failing ?? yes('AllReady', 'Every version is rolled out and the traffic is in force.');
}

/** Not there yet, without anything being wrong. */
function progressReason({ observed, versions, waitsFor }: StatusInput): Verdict | undefined {
  for (const version of versions) {
    const live = deploymentOf(observed, version);
    const word = live ? rolloutWord(live) : 'is being created';
    if (word) return no('RollingOut', `${version.name} ${word}.`);
  }
  return waitsFor.length > 0 ? no('Waiting', `Waiting for ${waitsFor.join('; ')}.`) : undefined;
}

/** As `kubectl rollout status` judges. */
function rolloutWord({ metadata, spec, status: state }: Deployment): string | undefined {
  const wanted = spec.replicas ?? 1;
  if ((state?.observedGeneration ?? 0) < (metadata.generation ?? 0)) return 'has a change that the Deployment controller has not seen yet';
  if ((state?.updatedReplicas ?? 0) < wanted) return `has ${state?.updatedReplicas ?? 0} of ${wanted} pods updated`;
  if ((state?.replicas ?? 0) > (state?.updatedReplicas ?? 0)) return `has ${(state?.replicas ?? 0) - (state?.updatedReplicas ?? 0)} old pods left`;
  if ((state?.readyReplicas ?? 0) < wanted) return `has ${state?.readyReplicas ?? 0} of ${wanted} pods Ready`;
  return undefined;
}

const deploymentOf = (observed: Observed, version: Version): Deployment | undefined =>
  observed.children.find((child) => child.kind === 'Deployment' && child.metadata.name === versionChildName(observed.microservice.metadata.name, version.name)) as
    | Deployment
    | undefined;

function serviceUrl({ microservice, children }: Observed): string | undefined {
  const port = ports(microservice.spec)[0];
  const service = children.find((child) => child.kind === 'Service' && child.metadata.name === microservice.metadata.name) as Service | undefined;
  if (!port || !service) return undefined;
  const ingress = service.status?.loadBalancer?.ingress?.[0];
  const host = ingress?.ip ?? ingress?.hostname ?? `${microservice.metadata.name}.${microservice.metadata.namespace}.svc`;
  return `${SCHEME[port.protocol]}://${host}${port.protocol === 'HTTP' && port.port === 80 ? '' : `:${port.port}`}`;
}

const SCHEME: Readonly<Record<Port['protocol'], string>> = { HTTP: 'http', GRPC: 'grpc', TCP: 'tcp' };

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

/** Whether writing `next` would tell a reader anything new. */
export const isSameStatus = (before: MicroserviceStatus | undefined, next: MicroserviceStatus): boolean => canonical(before) === canonical(next);

/** Without empty lists, which the API server may or may not keep, and in the order of the keys. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) => {
    if (Array.isArray(inner)) return inner.length === 0 ? undefined : inner;
    if (typeof inner !== 'object' || inner === null) return inner;
    return Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  });
