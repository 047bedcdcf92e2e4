/** The conditions by the kstatus rules: what holds, what is on its way, where a person has to act. */
import { CONDITION } from '../api/condition.ts';
import type { Condition, Microservice, VersionStatus } from '../api/microservice.ts';
import { autoscalerOf, deploymentOf, type Deployment, type Observed } from '../desired/observed.ts';
import { ports, provider, type Version } from '../desired/version.ts';
import type { StatusInput } from './status-input.ts';

type Verdict = Pick<Condition, 'status' | 'reason' | 'message'>;

export function conditions(input: StatusInput, versions: readonly VersionStatus[]): readonly Condition[] {
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
function available(input: StatusInput, statuses: readonly VersionStatus[]): Verdict {
  const unready = statuses.filter((version, index) => isExpected(input.versions[index], input.observed) && version.readyReplicas === 0);
  if (unready.length === 0) return yes('PodsReady', 'Every version with weight has a Ready pod.');
  return no('NoReadyPods', `No Ready pod: ${unready.map((version) => version.name).join(', ')}.`);
}

/** It has weight, and was not scaled to nothing on purpose. */
const isExpected = (version: Version | undefined, observed: Observed): boolean =>
  version !== undefined && version.weight > 0 && (deploymentOf(observed, version.name)?.spec.replicas ?? version.replicas) > 0;

function trafficApplied({ observed, blockers, versions: wanted }: StatusInput, versions: readonly VersionStatus[]): Verdict | undefined {
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
  const differing = versions.filter(({ weight }, index) => weight?.applied !== weight?.desired && (isExpected(wanted[index], observed) || wanted[index]?.weight === 0));
  const starved = differing.filter(({ weight }) => (weight?.applied ?? 0) < (weight?.desired ?? 0));
  if (differing.length > 0) return no('WaitingForEndpoints', `Without a Ready pod a version gets no traffic: ${starved.map((version) => version.name).join(', ')}. In force: ${split}.`);
  return yes('Acknowledged', `Every Ready proxy holds ${split}.`);
}

function autoscalingActive({ observed, versions }: StatusInput): Verdict | undefined {
  const autoscaled = versions.filter((version) => version.autoscaling);
  if (autoscaled.length === 0) return undefined;
  const ignored = (observed.microservice.spec.replicas ?? 1) > 1 ? ' spec.replicas is ignored while autoscaling is on.' : '';
  const inactive = autoscaled.map((version) => inactiveWord(version, observed)).find((word) => word !== undefined);
  return inactive ? no(inactive.reason, `${inactive.message}.${ignored}`) : yes('ScalingActive', `The autoscalers read their metrics.${ignored}`);
}

function inactiveWord({ name }: Version, observed: Observed): { readonly reason: string; readonly message: string } | undefined {
  const active = autoscalerOf(observed, name)?.status?.conditions?.find((candidate) => candidate.type === 'ScalingActive');
  if (!active) return { reason: 'Pending', message: `${name}: the autoscaler has not reported yet` };
  return active.status === 'True' ? undefined : { reason: active.reason ?? 'Inactive', message: `${name}: ${active.message ?? 'the autoscaler cannot scale'}` };
}

function readiness(input: StatusInput, parts: readonly (readonly [string, Verdict | undefined])[], progress: Verdict | undefined): Verdict {
  if (input.observed.microservice.spec.paused) return { status: 'Unknown', reason: 'Paused', message: 'spec.paused is true: no object is changed or repaired; the proxies still follow the pods and the weights.' };
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
    const live = deploymentOf(observed, version.name);
    const word = live ? rolloutWord(live) : 'is being created';
    if (word) return no('RollingOut', `${version.name} ${word}.`);
  }
  return waitsFor.length > 0 ? no('Waiting', `Waiting for ${waitsFor.join('; ')}.`) : undefined;
}

/** As `kubectl rollout status` judges. */
function rolloutWord({ metadata, spec, status: counted = {} }: Deployment): string | undefined {
  const wanted = spec.replicas ?? 1;
  const { observedGeneration = 0, replicas = 0, updatedReplicas = 0, readyReplicas = 0 } = counted;
  if (observedGeneration < (metadata.generation ?? 0)) return 'has a change that the Deployment controller has not seen yet';
  if (updatedReplicas < wanted) return `has ${updatedReplicas} of ${wanted} pods updated`;
  if (replicas > updatedReplicas) return `has ${replicas - updatedReplicas} old pods left`;
  return readyReplicas < wanted ? `has ${readyReplicas} of ${wanted} pods Ready` : undefined;
}
