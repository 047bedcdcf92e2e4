/** Who is woken by what: each change in the caches becomes keys in the queue, and word to the traffic plane, which hears first. */
import type { KubernetesObject } from './api/kubernetes-object.ts';
import { microserviceOf, serviceOfSlice, type Caches } from './cluster/caches.ts';
import type { Change } from './cluster/store.ts';
import { configMapNames } from './desired/config-hash.ts';
import { LABEL } from './desired/names.ts';
import type { Settings } from './desired/settings.ts';
import { versions } from './desired/version.ts';
import type { WorkQueue } from './engine/queue.ts';
import type { TrafficPlane } from './xds/traffic-plane.ts';

export interface WakeUpsOptions {
  readonly caches: Caches;
  readonly plane: Pick<TrafficPlane, 'update' | 'updateProxies'>;
  readonly queue: Pick<WorkQueue, 'add'>;
  readonly settings: Settings;
}

export const microserviceKey = (namespace: string, name: string): string => `microservice/${namespace}/${name}`;
const fleetKey = (namespace: string): string => `fleet/${namespace}`;

/** Tells of what is cached already, too. */
export function subscribe({ caches, plane, queue, settings }: WakeUpsOptions): void {
  const wake = (owner: string): void => {
    const [namespace = '', name = ''] = owner.split('/');
    queue.add(microserviceKey(namespace, name));
  };
  const tell = (owner: string): void => {
    const [namespace = '', name = ''] = owner.split('/');
    plane.update(namespace, name);
  };
  caches.microservices.onChange((change) => {
    const { namespace = '', name } = newest(change).metadata;
    queue.add(microserviceKey(namespace, name));
    if (!isNewSpec(change)) return;
    plane.update(namespace, name);
    queue.add(fleetKey(namespace));
  });
  caches.services.onChange((change) => {
    owners(change).forEach(tell);
    owners(change).forEach(wake);
    queue.add(fleetKey(newest(change).metadata.namespace ?? ''));
  });
  caches.endpointSlices.onChange((change) => {
    // The slices of the user's own Service hold the proxies.
    if (serviceOfSlice(newest(change)) !== newest(change).metadata.labels?.[LABEL.microservice]) owners(change).forEach(tell);
  });
  for (const informer of caches.children) {
    informer.onChange((change) => {
      owners(change).forEach(wake);
      if (isOfFleet(change)) queue.add(fleetKey(newest(change).metadata.namespace ?? ''));
    });
  }
  caches.pods.onChange((change) => {
    owners(change).forEach(wake);
    if (!isOfFleet(change)) return;
    plane.updateProxies(newest(change).metadata.namespace ?? '');
    queue.add(fleetKey(newest(change).metadata.namespace ?? ''));
  });
  caches.configMaps.onChange((change) => {
    const { namespace = '', name } = newest(change).metadata;
    for (const microservice of caches.microservices.byIndex('namespace', namespace)) {
      const isReader = versions(microservice, settings).some((version) => configMapNames(microservice.spec, version).includes(name));
      if (isReader) queue.add(microserviceKey(namespace, microservice.metadata.name));
    }
  });
}

const newest = <T extends KubernetesObject>(change: Change<T>): T => (change.type === 'deleted' ? change.old : change.new);

/** Before and after: a label that was edited away still says who has to repair it. */
function owners(change: Change<KubernetesObject>): readonly string[] {
  const both = change.type === 'updated' ? [change.old, change.new] : [newest(change)];
  return [...new Set(both.flatMap((object) => microserviceOf(object) ?? []))];
}

const isOfFleet = (change: Change<KubernetesObject>): boolean => {
  const both = change.type === 'updated' ? [change.old, change.new] : [newest(change)];
  return both.some(({ metadata }) => metadata.labels?.[LABEL.component] === 'fleet');
};

/** Everything but a change of status or metadata that we do not read. */
const isNewSpec = (change: Change<KubernetesObject>): boolean => change.type !== 'updated' || change.old.metadata.generation !== change.new.metadata.generation;
