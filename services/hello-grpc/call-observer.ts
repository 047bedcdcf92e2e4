import { Metadata, ServerInterceptingCall, status, type ServerInterceptor } from '@grpc/grpc-js';
import { Histogram, type Registry } from 'prom-client';

export interface CallObserverOptions {
  readonly version: string;
  readonly metrics: Registry;
  /** Longest life of a call that is answered once; streams (health watch, reflection) may stay. */
  readonly maxCallMs: number;
}

export interface CallObserver {
  readonly interceptor: ServerInterceptor;
  /** Ends every open stream with UNAVAILABLE; without it one health watcher would keep a server from stopping. */
  readonly endStreams: () => void;
}

/** What every call has in common: `x-version` in the trailing metadata, a time limit, a histogram. */
export function createCallObserver({ version, metrics, maxCallMs }: CallObserverOptions): CallObserver {
  const streams = new Set<ServerInterceptingCall>();
  const handling = new Histogram({
    name: 'grpc_server_handling_seconds',
    help: 'Time from the head of a call to its status, by service, method and status code.',
    labelNames: ['grpc_service', 'grpc_method', 'grpc_code'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [metrics],
  });

  const interceptor: ServerInterceptor = (method, inner) => {
    const startedAt = performance.now();
    const [, service = '', name = ''] = method.path.split('/');
    let ended = false;
    const end = (code: status): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      streams.delete(call);
      handling.observe({ grpc_service: service, grpc_method: name, grpc_code: status[code] }, (performance.now() - startedAt) / 1000);
    };
    const call = new ServerInterceptingCall(inner, {
      // Also reached where grpc-js itself ends the call (client gone, its deadline, a message too large), past sendStatus.
      start: (next) => next({ onCancel: () => end(Number(inner.getDeadline()) <= Date.now() ? status.DEADLINE_EXCEEDED : status.CANCELLED) }),
      sendStatus: (result, next) => {
        end(result.code);
        const metadata = result.metadata ?? new Metadata();
        metadata.set('x-version', version);
        next({ ...result, metadata });
      },
    });
    const timer = method.responseStream
      ? void streams.add(call)
      : setTimeout(() => call.sendStatus({ code: status.DEADLINE_EXCEEDED, details: `the call took longer than ${maxCallMs} ms` }), maxCallMs);
    return call;
  };

  const endStreams = (): void => {
    for (const call of [...streams]) call.sendStatus({ code: status.UNAVAILABLE, details: 'the server is stopping' });
  };
  return { interceptor, endStreams };
}
