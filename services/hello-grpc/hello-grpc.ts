import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation, type ServingStatus } from 'grpc-health-check';
import type { GracefulServer } from '../graceful-server.ts';
import { RequestRefused, textError } from '../http-answer.ts';
import { HttpService, type HttpServiceOptions } from '../http-service.ts';
import { createCallObserver } from './call-observer.ts';
import { greeters, helloProtocol, serviceDefinition } from './hello-protocol.ts';

export interface HelloGrpcOptions extends Pick<HttpServiceOptions, 'version' | 'log' | 'metrics'> {
  /** Where /metrics, /healthz and /readyz are served over HTTP; 0 lets the system choose. */
  readonly metricsPort: number;
  /** Default 10000. */
  readonly maxCallMs?: number;
}

/** Both greeters, the standard health service and server reflection, in plain text (h2c). */
export function createHelloGrpc({ metricsPort, maxCallMs = 10_000, ...options }: HelloGrpcOptions): GracefulServer {
  const observer = createCallObserver({ ...options, maxCallMs });
  const health = new HealthImplementation(statusOfAll('SERVING'));
  const server = new Server({
    interceptors: [observer.interceptor],
    'grpc.max_receive_message_length': 64 * 1024,
    'grpc.max_concurrent_streams': 1000,
    'grpc.keepalive_time_ms': 60_000,
    'grpc.enable_channelz': 0,
  });
  for (const name of greeters) server.addService(serviceDefinition(name), { SayHello: sayHello });
  health.addToServer(server);
  new ReflectionService(helloProtocol).addToServer(server);
  const http = new HttpService({ ...options, maxBodyBytes: 0, renderError: textError, handle: notFound });

  return {
    async listen(port) {
      const boundPort = await bind(server, port);
      options.log.info('serving metrics', { port: await http.listen(metricsPort) });
      return boundPort;
    },
    announceStop() {
      for (const [name, status] of Object.entries(statusOfAll('NOT_SERVING'))) health.setStatus(name, status);
      http.announceStop();
    },
    async finish() {
      const drained = new Promise<void>((resolve, reject) => server.tryShutdown((error) => (error ? reject(error) : resolve())));
      observer.endStreams();
      await drained;
      await http.finish();
    },
    cut() {
      server.forceShutdown();
      http.cut();
    },
  };
}

function notFound(): never {
  throw new RequestRefused({ status: 404, message: 'not found: this port serves /metrics, /healthz and /readyz' });
}

function sayHello(call: ServerUnaryCall<{ name: string }, { message: string }>, callback: sendUnaryData<{ message: string }>): void {
  callback(null, { message: `Hello ${call.request.name}` });
}

function statusOfAll(status: ServingStatus): Record<string, ServingStatus> {
  return Object.fromEntries(['', ...greeters].map((name) => [name, status]));
}

/** IPv6 and IPv4; IPv4 alone where the kernel has no IPv6. */
async function bind(server: Server, port: number): Promise<number> {
  const bindTo = (host: string): Promise<number> =>
    new Promise((resolve, reject) => server.bindAsync(`${host}:${port}`, ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))));
  try {
    return await bindTo('[::]');
  } catch {
    return bindTo('0.0.0.0');
  }
}
