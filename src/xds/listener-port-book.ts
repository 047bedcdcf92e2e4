import { LABEL } from '../desired/names.ts';
import type { Service } from '../desired/observed.ts';
import { isFleetSelector } from '../desired/ownership.ts';
import { isListenerPort, listenerPorts } from '../traffic/listener-port.ts';

/**
 * Which port of the proxies belongs to which port of which Microservice, by namespace. Services are read once, at the start; after that
 * this process is the only one that gives ports away. A freed port rests, because proxies still hold its old listener.
 */
export class ListenerPortBook {
  /** By namespace and "<microservice>/<port>". */
  readonly #used = new Map<string, Map<string, number>>();
  /** Until when, by namespace and port. */
  readonly #resting = new Map<string, Map<number, number>>();
  readonly #restMs: number;
  readonly #nowMs: () => number;

  constructor(restMs: number, nowMs: () => number) {
    this.#restMs = restMs;
    this.#nowMs = nowMs;
  }

  /** What a user's Service says already. Of two that claim one port the second gets another. */
  note(service: Service): void {
    const { namespace = '', name } = service.metadata;
    if (!isFleetSelector(service) || service.metadata.labels?.[LABEL.microservice] !== name) return;
    const used = entry(this.#used, namespace);
    const taken = new Set(used.values());
    for (const { name: portName, targetPort } of service.spec.ports ?? []) {
      if (!isListenerPort(targetPort) || taken.has(targetPort)) continue;
      taken.add(targetPort);
      used.set(`${name}/${portName}`, targetPort);
    }
  }

  /** A listener port for each of the Microservice's ports. Throws when none is left. */
  assign(namespace: string, microservice: string, ports: readonly string[]): ReadonlyMap<string, number> {
    const used = entry(this.#used, namespace);
    const missing = ports.map((port) => `${microservice}/${port}`).filter((portId) => !used.has(portId));
    if (missing.length > 0) for (const [portId, port] of listenerPorts(namespace, missing, used, this.#restingPorts(namespace))) used.set(portId, port);
    return new Map(ports.map((port) => [port, used.get(`${microservice}/${port}`) ?? 0]));
  }

  /** Frees all ports of the Microservice but `kept`. */
  release(namespace: string, microservice: string, kept: ReadonlySet<string>): void {
    const used = this.#used.get(namespace);
    for (const [portId, port] of used ?? []) {
      const [owner, name = ''] = portId.split('/');
      if (owner !== microservice || kept.has(name)) continue;
      used?.delete(portId);
      entry(this.#resting, namespace).set(port, this.#nowMs() + this.#restMs);
    }
  }

  #restingPorts(namespace: string): ReadonlySet<number> {
    const resting = this.#resting.get(namespace);
    for (const [port, untilMs] of resting ?? []) if (untilMs < this.#nowMs()) resting?.delete(port);
    return new Set(resting?.keys());
  }
}

function entry<K, A, B>(maps: Map<K, Map<A, B>>, key: K): Map<A, B> {
  const found = maps.get(key) ?? new Map<A, B>();
  maps.set(key, found);
  return found;
}
