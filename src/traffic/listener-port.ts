import { createHash } from 'node:crypto';

/** Below the ephemeral range of Linux (32768), so that no outgoing connection of the proxy can hold one. */
const FIRST = 10_000;
const COUNT = 20_000;

/** Names a port of a Microservice within a namespace: "<microservice>/<port>". */
export type PortId = string;

/**
 * A listener port for each of `wanted`. What the Services already say stays; a new port starts at the hash of its name, so
 * that every leader finds the same one, and moves on past ports in use (`taken`: those that rest until their drain is over).
 * Throws when all 20,000 are in use.
 */
export function listenerPorts(
  namespace: string,
  wanted: readonly PortId[],
  observed: ReadonlyMap<PortId, number>,
  taken: ReadonlySet<number> = new Set(),
): ReadonlyMap<PortId, number> {
  const used = new Set([...taken, ...observed.values()]);
  const assigned = new Map<PortId, number>();
  const own = new Set<number>();
  for (const portId of wanted.toSorted()) {
    const seen = observed.get(portId);
    // Two Services that were edited to the same port cannot both keep it.
    const port = seen === undefined || own.has(seen) ? freePort(`${namespace}/${portId}`, used) : seen;
    used.add(port);
    own.add(port);
    assigned.set(portId, port);
  }
  return assigned;
}

function freePort(seed: string, used: ReadonlySet<number>): number {
  const start = createHash('sha256').update(seed).digest().readUInt32BE(0) % COUNT;
  for (let step = 0; step < COUNT; step += 1) {
    const port = FIRST + ((start + step) % COUNT);
    if (!used.has(port)) return port;
  }
  throw new Error(`all ${COUNT} listener ports of the fleet are in use: split the namespace`);
}

export const isListenerPort = (port: number | string | undefined): port is number => typeof port === 'number' && port >= FIRST && port < FIRST + COUNT;
