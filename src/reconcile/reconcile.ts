/** One pass over one Microservice: observe, think, act, report. */
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import type { Observed } from '../desired/observed.ts';
import { ownership } from '../desired/ownership.ts';
import { type Application, id, plan, type Plan } from '../desired/plan.ts';
import type { Settings } from '../desired/settings.ts';
import { versions } from '../desired/version.ts';
import { type Outcome, settled } from '../engine/outcome.ts';
import { announcements } from './announcements.ts';
import { blockers, patienceEndsInMs } from './blockers.ts';
import type { Problem, ReconcilePorts } from './ports.ts';
import { isSameStatus, status } from './status.ts';

/** Our own write comes back as a watch event within milliseconds; this is for the case that it does not. */
const STALE_RETRY_MS = 200;
/** A stranger's object that goes, a raised quota and a granted permission send no event. */
const PROBLEM_RETRY_MS = 10_000;
/** A drain ends without an event. */
const DRAIN_RETRY_MS = 1_000;

export async function reconcile(namespace: string, name: string, ports: ReconcilePorts, settings: Settings): Promise<Outcome> {
  const observed = ports.observe(namespace, name);
  if (observed === 'stale') return { kind: 'waiting', afterMs: STALE_RETRY_MS };
  if (!observed || observed.microservice.metadata.deletionTimestamp) return settled;

  const thought = observed.microservice.spec.paused ? nothing : plan(observed, settings);
  const looked = await lookedUp(thought, observed, ports, settings);
  const acted = looked.problem ? { problem: looked.problem, children: observed.children } : await perform(looked.plan, observed, ports);
  return report({ ...observed, children: acted.children }, looked.plan, acted.problem, { ports, settings });
}

/** spec.paused as a filter over the plan. */
const nothing: Plan = { apply: [], reserve: [], remove: [], conflicts: [], waitsFor: [] };

/**
 * Our caches hold only what carries our label, so a name that looks free is asked for at the API server before it is taken.
 * What is found there and is ours after all (its labels were edited away) is repaired; what dies with a deleted namesake is waited for.
 */
async function lookedUp(thought: Plan, observed: Observed, ports: ReconcilePorts, settings: Settings): Promise<{ readonly plan: Plan; readonly problem?: Problem }> {
  const { microservice, children } = observed;
  const looked = await Promise.all([...thought.apply.map(async ({ manifest, live }) => live ?? ports.get(manifest)), ...thought.reserve.map((manifest) => ports.get(manifest))]);
  const found = looked.filter((live) => live !== undefined);
  const stranger = [...thought.conflicts, ...found].find((live) => ownership(live, microservice) === 'stranger');
  if (stranger) return { plan: thought, problem: nameConflict(stranger) };
  const unseen = found.filter((live) => !children.includes(live) && ownership(live, microservice) === 'ours');
  // Thought of again, because what was about to be created is there: its replicas may be the autoscaler's.
  const { apply, waitsFor, ...rest } = unseen.length === 0 ? thought : plan({ ...observed, children: [...children, ...unseen] }, settings);
  const dying = new Set(found.filter((live) => ownership(live, microservice) === 'predecessor').map(id));
  return {
    plan: {
      ...rest,
      apply: apply.filter(({ manifest }) => !dying.has(id(manifest))),
      waitsFor: [...waitsFor, ...[...dying].map((child) => ({ what: `${child} of a deleted Microservice to be garbage collected`, sendsEvent: false }))],
    },
  };
}

const nameConflict = (stranger: KubernetesObject): Problem => ({
  reason: 'NameConflict',
  message: `${id(stranger)} exists and does not belong to this Microservice. Delete or rename it, or rename the Microservice; nothing is written until then.`,
});

interface Acted {
  readonly problem: Problem | undefined;
  readonly children: readonly KubernetesObject[];
}

async function perform({ apply, remove }: Plan, observed: Observed, ports: ReconcilePorts): Promise<Acted> {
  const { microservice } = observed;
  const children = new Map(observed.children.map((child) => [id(child), child]));
  try {
    for (const application of apply) {
      const isRepair = application.live !== undefined;
      const stored = await ports.apply(withUid(application), { fieldManager: application.fieldManager, force: isRepair });
      children.set(id(stored), stored);
      ports.event(microservice, { type: 'Normal', reason: isRepair ? 'Updated' : 'Created', action: 'Apply', message: `${isRepair ? 'Updated' : 'Created'} ${id(stored)}` });
    }
    for (const leftover of remove) {
      await ports.remove(leftover);
      children.delete(id(leftover));
      ports.event(microservice, { type: 'Normal', reason: 'Removed', action: 'Delete', message: `Removed ${id(leftover)}` });
    }
    return { problem: undefined, children: [...children.values()] };
  } catch (error) {
    const problem = ports.refusal(error);
    if (!problem) throw error;
    return { problem, children: [...children.values()] };
  }
}

/** The uid turns "the object of this name" into "the object that we observed": a recreated one is a conflict. */
function withUid({ manifest, live }: Application): Application['manifest'] {
  const uid = live?.metadata.uid;
  return uid === undefined ? manifest : { ...manifest, metadata: { ...manifest.metadata, uid } };
}

async function report(observed: Observed, thought: Plan, problem: Problem | undefined, { ports, settings }: { ports: ReconcilePorts; settings: Settings }): Promise<Outcome> {
  const { microservice } = observed;
  const nowMs = ports.nowMs();
  const wanted = versions(microservice, settings);
  const found = blockers(observed, wanted, nowMs);
  const next = status({ observed, versions: wanted, blockers: found, waitsFor: thought.waitsFor.map((wait) => wait.what), problem, nowMs });
  if (!isSameStatus(microservice.status, next)) {
    await ports.writeStatus(microservice, next);
    for (const event of announcements(microservice.status, next)) ports.event(microservice, event);
  }
  if (problem) return problem.reason === 'Invalid' ? { kind: 'stalled', reason: problem.reason } : { kind: 'waiting', afterMs: PROBLEM_RETRY_MS };
  const patienceMs = patienceEndsInMs([...observed.pods, ...observed.proxyPods], nowMs);
  const mustLook = thought.waitsFor.some((wait) => !wait.sendsEvent);
  const afterMs = Math.min(...[patienceMs, observed.traffic.lookAgainInMs, mustLook ? DRAIN_RETRY_MS : undefined].filter((ms) => ms !== undefined));
  return Number.isFinite(afterMs) ? { kind: 'waiting', afterMs } : settled;
}
