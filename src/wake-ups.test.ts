import { expect, test } from '@jest/globals';
import type { KubernetesObject, ObjectMeta } from './api/kubernetes-object.ts';
import type { Microservice, MicroserviceSpec } from './api/microservice.ts';
import type { Caches } from './cluster/caches.ts';
import type { Change } from './cluster/store.ts';
import { fleetLabels, microserviceLabels, versionLabels } from './desired/names.ts';
import { microservice, settings } from '../test/observed-world.ts';
import { subscribe } from './wake-ups.ts';

/** Tells its handlers what the test says. */
class FakeInformer<T extends KubernetesObject = KubernetesObject> {
  objects: readonly T[] = [];
  readonly #handlers: ((change: Change<T>) => void)[] = [];

  onChange(handler: (change: Change<T>) => void): void {
    this.#handlers.push(handler);
    for (const object of this.objects) handler({ type: 'added', new: object, initial: true });
  }

  byIndex(_index: string, namespace: string): readonly T[] {
    return this.objects.filter(({ metadata }) => metadata.namespace === namespace);
  }

  tell(change: Change<T>): void {
    for (const handler of this.#handlers) handler(change);
  }
}

class World {
  readonly microservices = new FakeInformer<Microservice>();
  readonly deployments = new FakeInformer();
  readonly claims = new FakeInformer();
  readonly services = new FakeInformer();
  readonly pods = new FakeInformer();
  readonly endpointSlices = new FakeInformer();
  readonly configMaps = new FakeInformer();
  /** In order: keys of the queue, and what the plane is told. */
  readonly heard: string[] = [];

  subscribe(): this {
    const { microservices, services, pods, endpointSlices, configMaps } = this;
    const caches = { microservices, services, pods, endpointSlices, configMaps, children: [this.deployments, this.claims] };
    subscribe({
      caches: caches as unknown as Caches,
      plane: { update: (namespace, name) => void this.heard.push(`plane ${namespace}/${name}`), updateProxies: (namespace) => void this.heard.push(`proxies ${namespace}`) },
      queue: { add: (key) => void this.heard.push(key) },
      settings,
    });
    return this;
  }

  /** What this causes. */
  after(change: () => void): readonly string[] {
    this.heard.length = 0;
    change();
    return [...this.heard];
  }
}

const world = (): World => new World().subscribe();

const object = (kind: string, metadata: Partial<ObjectMeta> = {}): KubernetesObject => ({ apiVersion: 'v1', kind, metadata: { name: 'x', namespace: 'shop', ...metadata } });
const added = <T extends KubernetesObject>(next: T): Change<T> => ({ type: 'added', new: next, initial: false });
const updated = <T extends KubernetesObject>(old: T, next: T): Change<T> => ({ type: 'updated', old, new: next });
const deleted = <T extends KubernetesObject>(old: T): Change<T> => ({ type: 'deleted', old, finalStateUnknown: false });
const hello = (spec: MicroserviceSpec = { image: 'a' }, metadata: Partial<ObjectMeta> = {}): Microservice => microservice(spec, metadata);

const PASS = 'microservice/shop/hello';
const ALL = [PASS, 'plane shop/hello', 'fleet/shop'];

test.each<[string, Change<Microservice>, readonly string[]]>([
  ['a new Microservice', added(hello()), ALL],
  ['a deleted one', deleted(hello()), ALL],
  ['an edit of its spec', updated(hello(), hello({ image: 'b' }, { generation: 2 })), ALL],
  ['a change of its status', updated(hello(), { ...hello(), status: { replicas: 1 } }), [PASS]],
  ['an annotation', updated(hello(), hello({ image: 'a' }, { annotations: { 'microservice-operator.io/restarted-at': 'now' } })), [PASS]],
])('%s', (_what, change, heard) => {
  const of = world();
  expect(of.after(() => of.microservices.tell(change))).toEqual(heard);
});

const labelled = object('Deployment', { labels: versionLabels('hello', 'v1') });

test.each<[string, Change<KubernetesObject>, readonly string[]]>([
  ['that is ours wakes its owner', added(labelled), [PASS]],
  ['that went wakes its owner', deleted(labelled), [PASS]],
  ['whose label was edited away wakes the old owner', updated(labelled, object('Deployment')), [PASS]],
  ['whose label was edited to another name wakes both', updated(labelled, object('Deployment', { labels: microserviceLabels('other') })), [PASS, 'microservice/shop/other']],
  ['that is nobody\'s wakes nobody', added(object('Deployment')), []],
  ['of the fleet wakes the fleet', added(object('Deployment', { labels: fleetLabels })), ['fleet/shop']],
  ['whose label of the fleet was edited away wakes the fleet', updated(object('Deployment', { labels: fleetLabels }), object('Deployment')), ['fleet/shop']],
])('a child %s', (_what, change, heard) => {
  for (const kind of ['deployments', 'claims'] as const) {
    const of = world();
    expect(of.after(() => of[kind].tell(change))).toEqual(heard);
  }
});

test('a Service is told to the plane first, so that the pass reads what follows from it; and the fleet may be needed no more', () => {
  const of = world();
  const service = object('Service', { labels: microserviceLabels('hello') });
  expect(of.after(() => of.services.tell(added(service)))).toEqual(['plane shop/hello', PASS, 'fleet/shop']);
  expect(of.after(() => of.services.tell(updated(service, object('Service'))))).toEqual(['plane shop/hello', PASS, 'fleet/shop']);
  expect(of.after(() => of.services.tell(deleted(object('Service', { labels: fleetLabels }))))).toEqual(['fleet/shop']);
});

const slice = (service: string, labels: Readonly<Record<string, string>>): KubernetesObject => object('EndpointSlice', { labels: { ...labels, 'kubernetes.io/service-name': service } });

test('the slices of a version go to the plane alone, which says whom it wakes', () => {
  const of = world();
  expect(of.after(() => of.endpointSlices.tell(added(slice('hello--v1', versionLabels('hello', 'v1')))))).toEqual(['plane shop/hello']);
  expect(of.after(() => of.endpointSlices.tell(deleted(slice('hello--v1', versionLabels('hello', 'v1')))))).toEqual(['plane shop/hello']);
});

test("the slices of the user's Service hold proxies, and those of the fleet too: no configuration depends on them", () => {
  const of = world();
  expect(of.after(() => of.endpointSlices.tell(added(slice('hello', microserviceLabels('hello')))))).toEqual([]);
  expect(of.after(() => of.endpointSlices.tell(added(slice('microservice-fleet', fleetLabels))))).toEqual([]);
});

test('a pod wakes its Microservice; a proxy tells the plane and wakes the fleet', () => {
  const of = world();
  expect(of.after(() => of.pods.tell(added(object('Pod', { labels: versionLabels('hello', 'v1') }))))).toEqual([PASS]);
  const proxy = object('Pod', { labels: fleetLabels });
  const heard = ['proxies shop', 'fleet/shop'];
  expect(of.after(() => of.pods.tell(added(proxy)))).toEqual(heard);
  expect(of.after(() => of.pods.tell(updated(proxy, proxy)))).toEqual(heard);
  expect(of.after(() => of.pods.tell(updated(proxy, object('Pod'))))).toEqual(heard);
  expect(of.after(() => of.pods.tell(deleted(proxy)))).toEqual(heard);
  expect(of.after(() => of.pods.tell(added(object('Pod'))))).toEqual([]);
});

test('a ConfigMap wakes those in its namespace that read it, whatever has become of it', () => {
  const of = world();
  const reader = (name: string, spec: MicroserviceSpec, namespace = 'shop'): Microservice => hello({ image: 'a', ...spec }, { name, namespace });
  of.microservices.objects = [
    reader('files', { files: [{ mountPath: '/a', configMap: 'settings' }] }),
    reader('optional', { envFrom: [{ configMapRef: { name: 'settings', optional: true } }] }),
    reader('version', { versions: [{ name: 'v1', image: 'a', env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'settings', key: 'a' } } }] }] }),
    reader('none', { envFrom: [{ configMapRef: { name: 'others' } }] }),
    reader('elsewhere', { files: [{ mountPath: '/a', configMap: 'settings' }] }, 'elsewhere'),
  ];
  const settingsMap = object('ConfigMap', { name: 'settings' });
  const woken = ['microservice/shop/files', 'microservice/shop/optional', 'microservice/shop/version'];
  for (const change of [added(settingsMap), updated(settingsMap, settingsMap), deleted(settingsMap)]) expect(of.after(() => of.configMaps.tell(change))).toEqual(woken);
});

test('what was cached before is told, too', () => {
  const of = new World();
  of.microservices.objects = [hello()];
  of.pods.objects = [object('Pod', { labels: fleetLabels })];
  expect(of.subscribe().heard).toEqual([...ALL, 'proxies shop', 'fleet/shop']);
});
