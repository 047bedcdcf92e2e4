import type { Pod } from '../src/desired/observed.ts';
import { resourceKinds } from '../src/cluster/resource-kind.ts';
import type { ClusterClient } from './cluster-client.ts';

interface BoundPod extends Pod {
  readonly spec: { readonly nodeName?: string; readonly containers: readonly { readonly name: string; readonly image: string }[] };
}

const NODE = 'played';
/** Much less than the 50 s after which the controller-manager takes a node, and every pod on it, for lost. */
const HEARTBEAT_MS = 5_000;

/** Scheduler and kubelet of a node that is not there: in the served namespaces each pod becomes Ready at once, and ends when it is deleted. */
export class PlayedKubelet {
  readonly #client: ClusterClient;
  readonly #served = new Set<string>();
  #pods = 0;
  #heartbeat: NodeJS.Timeout | undefined;

  constructor(client: ClusterClient) {
    this.#client = client;
  }

  async start(): Promise<void> {
    await this.#client.create({ apiVersion: 'v1', kind: 'Node', metadata: { name: NODE } });
    await this.#beat();
    this.#heartbeat = setInterval(() => void this.#beat().catch(() => undefined), HEARTBEAT_MS);
    const see = (line: string): void => {
      const { type, object }: { type: string; object: BoundPod } = JSON.parse(line);
      if (type !== 'DELETED') this.#see(object);
    };
    // It ends with the lab.
    void this.#client.follow(resourceKinds.pod, see).catch(() => undefined);
  }

  stop(): void {
    clearInterval(this.#heartbeat);
  }

  /** Pods of this namespace from now on. */
  serve(namespace: string): void {
    this.#served.add(namespace);
  }

  #beat(): Promise<void> {
    const now = new Date().toISOString();
    const ready = { type: 'Ready', status: 'True', reason: 'Played', message: '', lastHeartbeatTime: now, lastTransitionTime: now };
    return this.#client.patch(resourceKinds.node, { name: NODE }, { status: { conditions: [ready] } }, 'status');
  }

  #see(pod: BoundPod): void {
    if (!this.#served.has(pod.metadata.namespace ?? '')) return;
    // The pod may be gone or changed by now: then another event follows.
    this.#play(pod).catch(() => undefined);
  }

  async #play(pod: BoundPod): Promise<void> {
    const { namespace = '', name, deletionTimestamp } = pod.metadata;
    if (deletionTimestamp) return this.#client.remove(resourceKinds.pod, { namespace, name }, { gracePeriodSeconds: 0 });
    if (pod.spec.nodeName === undefined) {
      const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target: { apiVersion: 'v1', kind: 'Node', name: NODE } };
      return this.#client.post(`/api/v1/namespaces/${namespace}/pods/${name}/binding`, binding);
    }
    if (pod.status?.phase === 'Pending') await this.#client.patch(resourceKinds.pod, { namespace, name }, { status: this.#readyStatus(pod) }, 'status');
  }

  #readyStatus({ spec }: BoundPod): object {
    this.#pods += 1;
    const podIP = `10.1.${Math.floor(this.#pods / 250)}.${(this.#pods % 250) + 1}`;
    const now = new Date().toISOString();
    return {
      phase: 'Running',
      podIP,
      podIPs: [{ ip: podIP }],
      startTime: now,
      conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({ type, status: 'True', lastTransitionTime: now })),
      containerStatuses: spec.containers.map(({ name, image }) => ({ name, image, imageID: image, ready: true, started: true, restartCount: 0, state: { running: { startedAt: now } } })),
    };
  }
}
