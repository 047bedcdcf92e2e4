/** One pass over the Envoy fleet of one namespace: there while a Microservice needs it, gone after the last one has drained. */
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import { fleetManifests } from '../desired/fleet.ts';
import type { Manifest } from '../desired/manifest.ts';
import { matches, stamped } from '../desired/matches.ts';
import { FIELD_MANAGER } from '../desired/names.ts';
import type { Deployment } from '../desired/observed.ts';
import { isFleetObject } from '../desired/ownership.ts';
import type { Settings } from '../desired/settings.ts';
import { type Outcome, settled } from '../engine/outcome.ts';
import type { Problem } from './ports.ts';

export interface FleetObserved {
  readonly namespace: string;
  readonly children: readonly KubernetesObject[];
  /** Microservices that want the fleet, and Services that still point at it. */
  readonly serviceCount: number;
  /** Since when `serviceCount` has been 0; undefined while it is not. */
  readonly idleSinceMs: number | undefined;
}

export interface FleetPorts {
  observe(namespace: string): FleetObserved | undefined | 'stale';
  get(manifest: Manifest): Promise<KubernetesObject | undefined>;
  apply(manifest: Manifest, options: { readonly fieldManager: string; readonly force: boolean }): Promise<KubernetesObject>;
  remove(object: KubernetesObject): Promise<void>;
  /** Makes sure that the fleet's certificate is there and not due; answers in how many ms it will be due. */
  ensureCertificate(namespace: string): Promise<{ readonly dueInMs: number }>;
  removeCertificate(namespace: string): Promise<void>;
  /** Envoy's bootstrap as JSON. */
  bootstrap(namespace: string): string;
  /** Why the namespace has no fleet that is up to date, for the status of its Microservices; undefined: nothing is wrong. */
  report(namespace: string, problem: Problem | undefined): void;
  /** As of `ReconcilePorts`. */
  refusal(error: unknown): Problem | undefined;
  nowMs(): number;
}

/** Longer than the drain of the last Service that pointed here. */
const IDLE_MS = 30_000;
const STALE_RETRY_MS = 200;
/** A stranger's object that goes, a raised quota and a granted permission send no event. */
const PROBLEM_RETRY_MS = 10_000;

export async function reconcileFleet(namespace: string, ports: FleetPorts, settings: Settings): Promise<Outcome> {
  const observed = ports.observe(namespace);
  if (observed === 'stale') return { kind: 'waiting', afterMs: STALE_RETRY_MS };
  if (!observed) return settled;
  if (observed.serviceCount === 0) return retire(observed, ports);
  try {
    return await keep(observed, ports, settings);
  } catch (error) {
    const problem = ports.refusal(error);
    if (!problem) throw error;
    return stuck(namespace, problem, ports);
  }
}

function stuck(namespace: string, problem: Problem, ports: FleetPorts): Outcome {
  ports.report(namespace, problem);
  return { kind: 'waiting', afterMs: PROBLEM_RETRY_MS };
}

async function keep({ namespace, children, serviceCount }: FleetObserved, ports: FleetPorts, settings: Settings): Promise<Outcome> {
  const wanted = fleetManifests({ namespace, settings, bootstrap: ports.bootstrap(namespace), serviceCount }).map(stamped);
  const live = new Map(children.map((child) => [child.kind, child]));
  const due = wanted.filter((manifest) => {
    const found = live.get(manifest.kind);
    return !found || !matches(manifest, found);
  });
  // Where labels were edited away, the caches do not hold what is there.
  const found = (await Promise.all(due.filter((manifest) => !live.has(manifest.kind)).map((manifest) => ports.get(manifest)))).filter((object) => object !== undefined);
  const stranger = found.find((object) => !isFleetObject(object));
  if (stranger) return stuck(namespace, nameConflict(stranger), ports);
  // The certificate first: a pod without its Secret waits for a minute before the kubelet tries again.
  const { dueInMs } = await ports.ensureCertificate(namespace);
  const ours = new Set([...children, ...found].map((object) => object.kind));
  for (const manifest of due) await ports.apply(manifest, { fieldManager: FIELD_MANAGER.main, force: ours.has(manifest.kind) });
  ports.report(namespace, podRefusal(live.get('Deployment')));
  return { kind: 'waiting', afterMs: dueInMs };
}

/** What the Deployment controller was told when it made pods: quota, Pod Security. */
function podRefusal(deployment: KubernetesObject | undefined): Problem | undefined {
  const conditions = (deployment as Deployment | undefined)?.status?.conditions ?? [];
  const refused = conditions.find((condition) => condition.type === 'ReplicaFailure' && condition.status === 'True');
  return refused && { reason: 'PodsRefused', message: refused.message ?? 'the pods of the fleet are refused' };
}

const nameConflict = ({ kind, metadata }: KubernetesObject): Problem => ({
  reason: 'NameConflict',
  message: `${kind} ${metadata.name} is needed by the Envoy fleet of this namespace but is not ours: rename or delete it, or set traffic.provider: Service`,
});

async function retire({ namespace, children, idleSinceMs }: FleetObserved, ports: FleetPorts): Promise<Outcome> {
  ports.report(namespace, undefined);
  if (children.length === 0) return settled;
  const restMs = (idleSinceMs ?? ports.nowMs()) + IDLE_MS - ports.nowMs();
  if (restMs > 0) return { kind: 'waiting', afterMs: restMs };
  // First, because without children the next pass would have nothing to do. Running proxies have it mounted.
  await ports.removeCertificate(namespace);
  for (const child of children.filter(isFleetObject)) await ports.remove(child);
  return settled;
}
