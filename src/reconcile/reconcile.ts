/** One pass over one Microservice: observe, think, act, report. */
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import type { Observed } from '../desired/observed.ts';
import { ownership } from '../desired/ownership.ts';
import { type Application, id, plan, type Plan } from '../desired/plan.ts';
import type { Settings } from '../desired/settings.ts';
import { versions } from '../desired/version.ts';
import { type Outcome, settled } from '../engine/outcome.ts';
import { blockers, patienceEndsInMs } from './blockers.ts';
import type { Problem, ReconcilePorts } from './ports.ts';
import { isSameStatus, status } from './status.ts';

/** Our own write comes back as a watch event within milliseconds; this is for the case that it does not. */
const STALE_RETRY_MS = 200;
/** A drain ends without an event. */
const DRAIN_RETRY_MS = 1_000;

export async function reconcile(namespace: string, name: string, ports: ReconcilePorts, settings: Settings): Promise<Outcome> {
  const observed = ports.observe(namespace, name);
  if (observed === 'stale') return { kind: 'waiting', afterMs: STALE_RETRY_MS };
  if (!observed || observed.microservice.metadata.deletionTimestamp) return settled;

  const thought = observed.microservice.spec.paused ? nothing : plan(observed, settings);
  const problem = (await nameConflict(thought, observed, ports)) ?? undefined;
  const acted = problem ? { problem, children: observed.children } : await perform(thought, observed, ports);
  return report({ ...observed, children: acted.children }, thought, acted.problem, { ports, settings });
}

/** spec.paused as a filter over the plan. */
const nothing: Plan = { apply: [], remove: [], conflicts: [], waitsFor: [] };

/** Our caches hold only what carries our label, so a name that looks free is asked for at the API server before it is taken. */
async function nameConflict({ apply, conflicts }: Plan, { microservice }: Observed, ports: ReconcilePorts): Promise<Problem | undefined> {
  const creations = apply.filter((application) => application.live === undefined);
  const found = await Promise.all(creations.map((application) => ports.get(application.manifest)));
  const strangers = [...conflicts, ...found.filter((live) => live !== undefined && ownership(live, microservice) === 'stranger')];
  const first = strangers[0];
  if (!first) return undefined;
  return { reason: 'NameConflict', message: `${id(first)} exists and does not belong to this Microservice. Delete or rename it, or rename the Microservice; nothing was changed.` };
}

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
  const next = status({ observed, versions: wanted, blockers: found, waitsFor: thought.waitsFor, problem, nowMs });
  if (!isSameStatus(microservice.status, next)) {
    await ports.writeStatus(microservice, next);
    announce(observed, next, ports);
  }
  if (problem) return { kind: 'stalled', reason: problem.reason };
  const isDraining = thought.waitsFor.length > 0;
  const afterMs = Math.min(patienceEndsInMs(observed.pods, nowMs) ?? Number.POSITIVE_INFINITY, isDraining ? DRAIN_RETRY_MS : Number.POSITIVE_INFINITY);
  return Number.isFinite(afterMs) ? { kind: 'waiting', afterMs } : settled;
}

/** An Event for each change of Ready and for each new blocker. */
function announce({ microservice }: Observed, next: ReturnType<typeof status>, ports: ReconcilePorts): void {
  const ready = next.conditions?.find((condition) => condition.type === 'Ready');
  const before = microservice.status?.conditions?.find((condition) => condition.type === 'Ready');
  if (ready && ready.status === 'True' && before?.status !== 'True') ports.event(microservice, { type: 'Normal', reason: 'Ready', action: 'Report', message: ready.message });
  const known = new Set((microservice.status?.blockers ?? []).map((blocker) => `${blocker.reason}/${blocker.version}`));
  for (const blocker of next.blockers ?? []) {
    if (!known.has(`${blocker.reason}/${blocker.version}`)) ports.event(microservice, { type: 'Warning', reason: blocker.reason, action: 'Report', message: `${blocker.object}: ${blocker.message}` });
  }
  const problem = next.conditions?.find((condition) => condition.type === 'Stalled');
  if (problem && !microservice.status?.conditions?.some((condition) => condition.type === 'Stalled')) {
    ports.event(microservice, { type: 'Warning', reason: problem.reason, action: 'Report', message: problem.message });
  }
}
