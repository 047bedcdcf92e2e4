import { Resolver } from 'node:dns/promises';
import { connect, isIP } from 'node:net';
import type { Server, Socket } from 'node:net';
import { nodeAddress } from './node-machine.ts';

export interface Place {
  /** An address, or a name in the cluster's DNS, looked up for each connection. */
  readonly host: string;
  readonly port: number;
}

/** Joins every connection of a listening socket to a new connection to a place. */
export function forward(socket: Server, place: Place): void {
  const resolver = new Resolver();
  resolver.setServers([nodeAddress]);
  socket.on('connection', (near) => {
    near.on('error', () => near.destroy());
    void join(near, place, resolver);
  });
}

async function join(near: Socket, place: Place, resolver: Resolver): Promise<void> {
  try {
    const [address = ''] = isIP(place.host) === 0 ? await resolver.resolve4(place.host) : [place.host];
    const far = connect({ host: address, port: place.port, noDelay: true });
    near.setNoDelay();
    far.on('error', (error) => console.error(`forward to ${place.host}:${place.port}: ${error.message}`));
    far.on('close', () => near.destroySoon());
    near.on('close', () => far.destroySoon());
    near.pipe(far);
    far.pipe(near);
  } catch (error) {
    console.error(`forward to ${place.host}:${place.port}: ${String(error)}`);
    near.destroy();
  }
}
