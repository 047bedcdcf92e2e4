import { once } from 'node:events';
import type { Server } from 'node:net';
import type { InsideAnswer, NumberedRequest } from './inside-channel.ts';
import { forward } from './forward.ts';
import { importImage, startNode } from './start-node.ts';

// The entry point of the process inside the namespaces. It lives as long as the channel to the process outside.
process.env['PATH'] = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
process.on('disconnect', () => process.exit(0));
process.on('message', (request: NumberedRequest, socket: Server | undefined) => {
  void answer(request, socket);
});
await once(process, 'disconnect');

async function answer(request: NumberedRequest, socket: Server | undefined): Promise<void> {
  const reply = (message: InsideAnswer): unknown => process.send?.(message);
  try {
    await handle(request, socket);
    reply({ id: request.id });
  } catch (error) {
    console.error(error);
    reply({ id: request.id, error: error instanceof Error ? error.message : String(error) });
  }
}

async function handle(request: NumberedRequest, socket: Server | undefined): Promise<void> {
  switch (request.kind) {
    case 'start':
      return startNode(request);
    case 'forward':
      if (socket === undefined) throw new Error('a forward request came without its socket');
      return forward(socket, request);
    case 'load-image':
      return importImage(request.path);
  }
}
