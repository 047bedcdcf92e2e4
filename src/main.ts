/** The operator's process: read flags, build, run, stop. Exit code 0 after SIGTERM, 1 on a failure, 2 on wrong flags. */
import { randomBytes } from 'node:crypto';
import { config, type Config } from './config.ts';
import { Client } from './cluster/client.ts';
import { kubeConfig } from './cluster/kube-config.ts';
import { resourceKinds } from './cluster/resource-kind.ts';
import { Transport } from './cluster/transport.ts';
import { Operator } from './operator.ts';
import { HttpEndpoint } from './telemetry/http-endpoint.ts';
import { logger, type Logger } from './telemetry/logger.ts';

const VERSION = '0.1.0';

async function main(): Promise<number> {
  const settings = readConfig();
  if (!settings) return 2;
  const log = logger(settings.logLevel);
  try {
    const credentials = kubeConfig({ path: settings.kubeconfigPath });
    if (settings.checkUninstall) return await checkUninstall(new Transport({ credentials, version: VERSION }));
    await run(new Operator({ config: settings, credentials, logger: log, version: VERSION }), settings, stopSignal(log));
    return 0;
  } catch (error) {
    log.error('the operator ends', { error });
    return 1;
  }
}

function stopSignal(log: Logger): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info('stopping', { signal });
      stop.abort();
    });
  }
  return stop.signal;
}

async function run(operator: Operator, { probePort, metricsPort }: Config, signal: AbortSignal): Promise<void> {
  const { registry } = operator.metrics;
  const probes = new HttpEndpoint({
    '/livez': () => (operator.isAlive ? { status: 200, body: 'ok\n' } : { status: 503, body: 'leading with a lease that was not renewed\n' }),
    '/readyz': () => {
      const { ready, message } = operator.readiness;
      return { status: ready ? 200 : 503, body: `${message}\n` };
    },
  });
  const metrics = new HttpEndpoint({ '/metrics': async () => ({ status: 200, body: await registry.metrics(), contentType: registry.contentType }) });
  try {
    await probes.listen(probePort);
    await metrics.listen(metricsPort);
    await operator.run(signal);
  } finally {
    await Promise.all([probes.close(), metrics.close()]);
  }
}

function readConfig(): Config | undefined {
  try {
    return config(process.argv.slice(2), process.env, randomBytes(4).toString('hex'));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return undefined;
  }
}

/** Deleting the CRD or the operator first would leave fleets behind that nobody removes. */
async function checkUninstall(transport: Transport): Promise<number> {
  const { items } = await new Client({ transport }).list(resourceKinds.microservice);
  await transport.close();
  if (items.length === 0) return 0;
  const names = items.slice(0, 10).map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
  process.stderr.write(`${items.length} Microservices still exist (${names.join(', ')}): delete them first; helm uninstall --no-hooks goes on without asking\n`);
  return 1;
}

// A pass that was told to stop may still hold a socket for a while; nothing is lost by not waiting for it.
process.exit(await main());
