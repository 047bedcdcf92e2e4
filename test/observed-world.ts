/** What a pass may see, as small as a test can say it. */
import type { Microservice, MicroserviceSpec } from '../src/api/microservice.ts';
import type { Observed, TrafficObserved } from '../src/desired/observed.ts';
import type { Settings } from '../src/desired/settings.ts';

export const settings: Settings = {
  imagePrefix: 'registry.example.com/operator',
  imageTag: '1.2.3',
  fleetImage: 'registry.example.com/envoy:1.40',
  fleetReplicas: 2,
  xdsHost: 'microservice-operator-xds.microservice-operator.svc',
  xdsPort: 18_000,
};

export const microservice = (spec: MicroserviceSpec, overrides: Partial<Microservice['metadata']> = {}): Microservice => ({
  apiVersion: 'microservice-operator.io/v1alpha1',
  kind: 'Microservice',
  metadata: { name: 'hello', namespace: 'shop', uid: 'uid-of-hello', generation: 1, ...overrides },
  spec,
});

/** Nothing is allocated and no proxy is there. */
export const trafficObserved = (overrides: Partial<TrafficObserved> = {}): TrafficObserved => ({
  listenerPorts: new Map(),
  applied: new Map(),
  isListening: false,
  isAcknowledged: false,
  drained: new Set(),
  readyProxies: 0,
  silentProxies: [],
  ...overrides,
});

export const observed = (of: Microservice, overrides: Partial<Omit<Observed, 'microservice'>> = {}): Observed => ({
  microservice: of,
  children: [],
  pods: [],
  proxyPods: [],
  configMaps: new Map(),
  traffic: trafficObserved(),
  ...overrides,
});
