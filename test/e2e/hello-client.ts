import { Client, credentials, type Metadata, type ServiceError } from '@grpc/grpc-js';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { Pool } from 'undici';
import type { RequestOnce } from './load.ts';

interface HelloClient extends AsyncDisposable {
  readonly request: RequestOnce;
}

/** Asks hello-http on 127.0.0.1 over keep-alive connections. */
export function helloHttpClient(port: number, connections = 8): HelloClient {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections, pipelining: 1, headersTimeout: 10_000, bodyTimeout: 10_000 });
  return {
    request: async () => {
      const { statusCode, headers, body } = await pool.request({ method: 'GET', path: '/' });
      const text = await body.text();
      if (statusCode !== 200 || text.trim() !== 'Hello, world!') throw new Error(`HTTP ${statusCode}: ${text.slice(0, 100)}`);
      return String(headers['x-version']);
    },
    [Symbol.asyncDispose]: () => pool.close(),
  };
}

const definition = loadSync('services/hello-grpc/helloworld.proto')['helloworld.Greeter'] as ServiceDefinition;

/** Asks hello-grpc on 127.0.0.1 over a few HTTP/2 connections. */
export function helloGrpcClient(port: number, connections = 2): HelloClient {
  const method = definition['SayHello'];
  if (!method) throw new Error('helloworld.proto has no SayHello');
  const clients = Array.from({ length: connections }, () => new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 }));
  let next = 0;
  return {
    request: () =>
      new Promise((resolve, reject) => {
        const client = clients[next++ % connections];
        if (!client) return;
        let message: unknown;
        const call = client.makeUnaryRequest<object, { readonly message?: string }>(method.path, method.requestSerialize, method.responseDeserialize as (bytes: Buffer) => object, { name: 'world' }, { deadline: Date.now() + 10_000 }, (error: ServiceError | null, reply) => {
          if (error) reject(error);
          message = reply?.message;
        });
        call.on('status', ({ code, metadata }: { code: number; metadata: Metadata }) => {
          // grpc-js calls this just before or just after the callback.
          queueMicrotask(() => {
            if (code !== 0) return;
            if (message === 'Hello world') resolve(String(metadata.get('x-version')[0]));
            else reject(new Error(`gRPC answered ${JSON.stringify(message)}`));
          });
        });
      }),
    [Symbol.asyncDispose]: async () => clients.forEach((client) => client.close()),
  };
}
