import { Registry, collectDefaultMetrics } from 'prom-client';
import { stopGracefully, stopSignal, type GracefulServer } from './graceful-server.ts';
import { createLogger, type Logger } from './logger.ts';
import { readServiceSettings, type Environment } from './service-settings.ts';

export interface ServiceContext {
  readonly version: string;
  readonly log: Logger;
  readonly metrics: Registry;
}

export interface Service {
  readonly name: string;
  readonly defaultPort: number;
  readonly create: (context: ServiceContext) => GracefulServer;
}

/** The life of a service: settings, start, serve, SIGTERM, exit 0. Exit 1 where it cannot start, with the reason in the log. */
export async function runService(service: Service, env: Environment): Promise<never> {
  try {
    await serve(service, env);
  } catch (error) {
    createLogger(service.name, env['VERSION'] ?? 'dev').error('cannot run', { error });
    return process.exit(1);
  }
  return process.exit(0);
}

async function serve({ name, defaultPort, create }: Service, env: Environment): Promise<void> {
  const settings = readServiceSettings(env, defaultPort);
  const log = createLogger(name, settings.version);
  const metrics = new Registry();
  metrics.setDefaultLabels({ version: settings.version });
  collectDefaultMetrics({ register: metrics });

  const stop = stopSignal();
  const server = create({ version: settings.version, log, metrics });
  log.info('listening', { port: await server.listen(settings.port) });

  log.info('stopping', { signal: await stop });
  await stopGracefully(server, { delayMs: settings.stopDelayMs, timeoutMs: settings.stopTimeoutMs, log });
  log.info('stopped');
}
