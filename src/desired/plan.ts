/** What one Microservice should become, against what is there. Pure: render, diff and the controller all call this. */
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import { configHash, configMapNames, requiredConfigMapNames } from './config-hash.ts';
import { deployment } from './deployment.ts';
import { horizontalPodAutoscaler } from './horizontal-pod-autoscaler.ts';
import type { Manifest } from './manifest.ts';
import { matches, stamped } from './matches.ts';
import { ANNOTATION, FIELD_MANAGER, LABEL } from './names.ts';
import { deploymentOf, userServiceOf, type Observed, type Service } from './observed.ts';
import { isControlledBy, isFleetSelector, ownership } from './ownership.ts';
import { persistentVolumeClaim } from './persistent-volume-claim.ts';
import { needsDisruptionBudget, podDisruptionBudget } from './pod-disruption-budget.ts';
import { replicas, replicasManifest } from './replicas.ts';
import { serviceAccount } from './service-account.ts';
import { userService, versionService } from './service.ts';
import type { Settings } from './settings.ts';
import { type Port, ports, usesProxies, type Version, versions } from './version.ts';

export interface Plan {
  /** In this order. */
  readonly apply: readonly Application[];
  readonly remove: readonly KubernetesObject[];
  /** Not to be applied yet, but their names have to be free. */
  readonly reserve: readonly Manifest[];
  /** Objects with the names of our children that are not ours. With one of these, nothing may be written. */
  readonly conflicts: readonly KubernetesObject[];
  /** What has to happen before the rest of the change. */
  readonly waitsFor: readonly Wait[];
}

interface Wait {
  /** In words. */
  readonly what: string;
  /** Whether an event will say that it has happened; if not, somebody has to look again. */
  readonly sendsEvent: boolean;
}

export interface Application {
  readonly manifest: Manifest;
  readonly fieldManager: string;
  /** The object as observed; undefined means that it has to be created. */
  readonly live: KubernetesObject | undefined;
}

export function plan(observed: Observed, settings: Settings): Plan {
  const wanted = [...manifests(observed, settings)].map(stamped);
  const byId = new Map(observed.children.map((child) => [id(child), child]));
  const reserve = [...reserved(observed)];
  const conflicts = [...wanted, ...reserve].map((manifest) => byId.get(id(manifest))).filter((live) => live !== undefined && ownership(live, observed.microservice) === 'stranger');
  const leftovers = surplus(observed, new Set(wanted.map(id)));
  return {
    apply: [
      ...wanted.map((manifest) => ({ manifest, fieldManager: FIELD_MANAGER.main, live: byId.get(id(manifest)) })).filter(isNeeded),
      ...replicaApplications(observed, settings, byId),
    ],
    remove: leftovers.filter((child) => isDrained(child, observed, settings)),
    reserve: reserve.filter((manifest) => !byId.has(id(manifest))),
    conflicts: conflicts.filter((live) => live !== undefined),
    waitsFor: [
      ...(waitsForProxies(observed) ? [{ what: 'the proxies to acknowledge the listeners', sendsEvent: true }] : []),
      ...drainingVersions(leftovers, observed, settings).map((version) => ({ what: `version ${version} to drain`, sendsEvent: false })),
    ],
  };
}

export const id = (object: KubernetesObject): string => `${object.kind}/${object.metadata.name}`;

const isNeeded = ({ manifest, live }: Application): boolean => live === undefined || !matches(manifest, live);

/** Everything that should exist now, in the order in which it is applied: what pods need first, what sends them traffic last. */
function* manifests(observed: Observed, settings: Settings): Generator<Manifest> {
  const { microservice } = observed;
  const { spec } = microservice;
  const servicePorts = ports(spec);
  if (spec.serviceAccountName === undefined) yield serviceAccount(microservice);
  if (spec.storage?.size !== undefined) yield persistentVolumeClaim(microservice, spec.storage);
  for (const version of versions(microservice, settings)) yield* versionManifests(observed, version, servicePorts);
  if (servicePorts.length > 0 && !waitsForProxies(observed)) {
    yield wantedUserService(observed, servicePorts);
  }
}

/** The user's Service comes last, but what else may have its name is asked for before anything is written. */
function* reserved(observed: Observed): Generator<Manifest> {
  if (waitsForProxies(observed)) yield wantedUserService(observed, ports(observed.microservice.spec));
}

const wantedUserService = ({ microservice, traffic }: Observed, servicePorts: readonly Port[]): Manifest =>
  userService(microservice, servicePorts, usesProxies(microservice.spec) ? traffic.listenerPorts : undefined);

function* versionManifests(observed: Observed, version: Version, servicePorts: readonly Port[]): Generator<Manifest> {
  const { microservice } = observed;
  const live = deploymentOf(observed, version.name);
  const running = live?.spec.template?.metadata?.annotations?.[ANNOTATION.configHash];
  const names = { all: configMapNames(microservice.spec, version), required: requiredConfigMapNames(microservice.spec, version) };
  const hash = configHash(names, observed.configMaps, running);
  if (servicePorts.length > 0) yield versionService(microservice, version, servicePorts);
  yield deployment(microservice, version, servicePorts, hash);
  if (version.autoscaling) yield horizontalPodAutoscaler(microservice, version, version.autoscaling);
  if (needsDisruptionBudget(version)) yield podDisruptionBudget(microservice, version);
}

function replicaApplications(observed: Observed, settings: Settings, byId: ReadonlyMap<string, KubernetesObject>): readonly Application[] {
  return versions(observed.microservice, settings).flatMap((version) => {
    const live = deploymentOf(observed, version.name);
    const count = replicas(version, live);
    // The API server's default is one replica, so that number needs no owner.
    if (count === undefined || count === (live?.spec.replicas ?? 1)) return [];
    const manifest = replicasManifest(observed.microservice, version, count);
    return [{ manifest, fieldManager: FIELD_MANAGER.replicas, live: byId.get(id(manifest)) }];
  });
}

/** The Service is pointed at the fleet only when every Ready proxy listens; one that points there already is repaired at once. */
function waitsForProxies(observed: Observed): boolean {
  const { microservice, traffic } = observed;
  const servicePorts = ports(microservice.spec);
  if (!usesProxies(microservice.spec)) return false;
  const allocated = servicePorts.every((port) => traffic.listenerPorts.has(port.name));
  if (allocated && traffic.isListening) return false;
  const live = userServiceOf(observed);
  return !(allocated && live && pointsAtFleet(live, traffic.listenerPorts));
}

const pointsAtFleet = (service: Service, listenerPorts: ReadonlyMap<string, number>): boolean =>
  isFleetSelector(service) && [...listenerPorts.values()].every((listenerPort) => service.spec.ports?.some((port) => port.targetPort === listenerPort));

/** Our children that nothing asks for any more. The ServiceAccount stays: pods of an old revision may still start with it. */
const surplus = (observed: Observed, wanted: ReadonlySet<string>): readonly KubernetesObject[] =>
  observed.children.filter(
    (child) =>
      !wanted.has(id(child)) &&
      child.kind !== 'PersistentVolumeClaim' &&
      child.kind !== 'ServiceAccount' &&
      isControlledBy(child, observed.microservice) &&
      !(isUserService(child, observed) && ports(observed.microservice.spec).length > 0),
  );

const isUserService = (child: KubernetesObject, observed: Observed): boolean => child.kind === 'Service' && child.metadata.name === observed.microservice.metadata.name;

function isDrained(child: KubernetesObject, observed: Observed, settings: Settings): boolean {
  const version = child.metadata.labels?.[LABEL.version];
  if (version === undefined || isWantedVersion(version, observed, settings)) return true;
  return !usesProxies(observed.microservice.spec) || observed.traffic.drained.has(version) || !hasService(version, observed);
}

/** The proxies find the pods of a version by its Service alone: without it there is nothing to drain. */
const hasService = (version: string, { children }: Observed): boolean => children.some(({ kind, metadata }) => kind === 'Service' && metadata.labels?.[LABEL.version] === version);

const isWantedVersion = (name: string, observed: Observed, settings: Settings): boolean => versions(observed.microservice, settings).some((version) => version.name === name);

function drainingVersions(leftovers: readonly KubernetesObject[], observed: Observed, settings: Settings): readonly string[] {
  const draining = leftovers.filter((child) => !isDrained(child, observed, settings)).map((child) => child.metadata.labels?.[LABEL.version] ?? '');
  return [...new Set(draining)].toSorted();
}
