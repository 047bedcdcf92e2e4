/** The object graph of one operator process, and its life: warm caches, wait for the lease, lead, stop. */
import { randomBytes } from 'node:crypto';
import type { Config } from './config.ts';
import { isConflict } from './cluster/api-error.ts';
import { Caches } from './cluster/caches.ts';
import { readFleetCertificate, readOrCreateAuthority, removeFleetCertificate, writeFleetCertificate, type KeyPair } from './cluster/certificate-secrets.ts';
import { Client } from './cluster/client.ts';
import { ClusterPorts } from './cluster/cluster-ports.ts';
import type { CredentialSource } from './cluster/connection.ts';
import { failedOutcome } from './cluster/failure.ts';
import { EventRecorder } from './cluster/event-recorder.ts';
import { LeaderElection } from './cluster/lease.ts';
import { Transport } from './cluster/transport.ts';
import { CERTIFICATE_DIRECTORY, FLEET_ADMIN_PORT, FLEET_READY_PORT } from './desired/fleet.ts';
import { LABEL, OPERATOR } from './desired/names.ts';
import type { Settings } from './desired/settings.ts';
import type { Outcome } from './engine/outcome.ts';
import { WorkQueue } from './engine/queue.ts';
import { runWorkers, type Pass } from './engine/workers.ts';
import { reconcileFleet } from './reconcile/fleet.ts';
import { reconcile } from './reconcile/reconcile.ts';
import type { Logger } from './telemetry/logger.ts';
import { Metrics } from './telemetry/metrics.ts';
import { envoyBootstrap, secretDiscoveryFiles } from './traffic/bootstrap.ts';
import { AdsServer } from './xds/ads-server.ts';
import type { AdsEvent } from './xds/ads-event.ts';
import { createCertificateAuthority, isDue, isIssuedBy, issueFleetCertificate, issueServerCertificate } from './xds/certificate-authority.ts';
import { systemClock } from './xds/clock.ts';
import { LeavingProxies } from './xds/leaving-proxies.ts';
import { TrafficPlane } from './xds/traffic-plane.ts';
import { microserviceKey, subscribe } from './wake-ups.ts';

export interface OperatorOptions {
  readonly config: Config;
  readonly credentials: CredentialSource;
  readonly logger: Logger;
  readonly version: string;
}

/** How long a request may still be on its way through a version or listener that nothing wants any more. */
const DRAIN_DELAY_MS = 10_000;
const PASS_TIMEOUT_MS = 60_000;
const STOP_DEADLINE_MS = 4_000;
const CERTIFICATE_CHECK_MS = 3600_000;
const DRAIN_PERIOD_MS = 1_000;

export class Operator {
  readonly metrics: Metrics;
  readonly #options: OperatorOptions;
  readonly #settings: Settings;
  readonly #transport: Transport;
  readonly #caches: Caches;
  readonly #queue: WorkQueue;
  readonly #election: LeaderElection;
  readonly #client: Client;
  readonly #events: EventRecorder;
  readonly #stop = new AbortController();
  #plane: TrafficPlane | undefined;
  /** Of the running passes, by key: ties their log lines together. */
  readonly #reconcileIds = new Map<string, string>();
  #isSynced = false;

  constructor(options: OperatorOptions) {
    const { config, credentials, logger, version } = options;
    this.#options = options;
    this.#settings = config;
    this.metrics = new Metrics({
      queueDepth: () => this.#queue.depth,
      longestRunningMs: () => this.#queue.longestRunningMs,
      isLeader: () => this.#election.isLeader,
    });
    this.#transport = new Transport({ credentials, version, observer: { answered: ({ method, code }) => this.metrics.requested(method, code) } });
    this.#queue = new WorkQueue({
      groupOf: (key) => key.split('/')[1] ?? '',
      observer: { added: () => {}, retried: () => this.metrics.retried(), started: (queuedMs) => this.metrics.queued(queuedMs), finished: () => {} },
    });
    this.#election = new LeaderElection({
      client: new Client({ transport: this.#transport }),
      namespace: config.namespace,
      name: OPERATOR,
      identity: config.identity,
      observer: {
        acquired: () => logger.info('leading', { identity: config.identity }),
        lost: (reason) => logger.error('leadership lost', { reason }),
        failed: (error) => logger.warn('lease attempt failed', { error }),
      },
    });
    this.#client = new Client({ transport: this.#transport, mayWrite: () => !config.leaderElect || this.#election.mayWrite() });
    this.#events = new EventRecorder({ client: this.#client, controller: `${LABEL.microservice.split('/')[0]}/controller`, instance: config.identity, onDropped: () => this.metrics.eventDropped() });
    this.#caches = new Caches({ transport: this.#transport, onHandlerError: (error) => this.#handlerFailed(error), onWatchError: (error, kind) => logger.warn('watch failed, goes on by itself', { kind, error }) });
  }

  /** Resolves when `signal` has aborted and everything is over; rejects when leadership is lost or the start fails. */
  async run(signal: AbortSignal): Promise<void> {
    const { config, logger } = this.#options;
    signal.addEventListener('abort', () => this.#stop.abort(), { once: true });
    try {
      await this.#caches.start(this.#stop.signal);
      this.#isSynced = true;
      logger.info('caches synced');
      if (config.leaderElect) await this.#election.acquire(this.#stop.signal);
      await this.#lead();
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#stop.abort();
      await this.#transport.close();
    }
  }

  /** Ready with warm caches, leading or not: a standby that can take over at once. */
  get readiness(): { readonly ready: boolean; readonly message: string } {
    const problems = this.#caches.problems;
    if (!this.#isSynced) return { ready: false, message: ['caches not synced', ...problems].join('\n') };
    return { ready: problems.length === 0, message: problems.join('\n') || 'ok' };
  }

  get isAlive(): boolean {
    return this.#election.isHealthy;
  }

  async #lead(): Promise<void> {
    const { config, logger } = this.#options;
    const authority = await readOrCreateAuthority(this.#client, { namespace: config.namespace, identity: config.identity, create: () => createCertificateAuthority(Date.now()) });
    const server = await this.#adsServer(authority);
    const plane = new TrafficPlane({
      caches: this.#trafficCaches(),
      server,
      settings: this.#settings,
      onChange: (namespace, name) => this.#queue.add(microserviceKey(namespace, name)),
      onAcknowledged: (delayMs) => this.metrics.weightApplied(delayMs),
      onError: (error, namespace, name) => logger.error('the proxies keep the last configuration', { namespace, name, error }),
      nowMs: Date.now,
      drainDelayMs: DRAIN_DELAY_MS,
    });
    this.#plane = plane;
    plane.start();
    // At once: what is deleted before would be noticed by nobody.
    subscribe({ caches: this.#caches, plane, queue: this.#queue, settings: this.#settings });
    server.onReceipt((namespace, owner) => plane.receiptChanged(namespace, owner));
    server.ready();
    const port = await server.listen({ host: '0.0.0.0', port: config.xdsPort });
    logger.info('serving xDS', { port });
    const leaving = this.#leavingProxies(server);
    const timer = setInterval(() => leaving.drainDue(), DRAIN_PERIOD_MS);
    const renewal = setInterval(() => void this.#renewServerCertificate(server, authority), CERTIFICATE_CHECK_MS);
    try {
      await this.#work(authority);
    } finally {
      clearInterval(timer);
      clearInterval(renewal);
      server.close();
    }
  }

  #leavingProxies(server: AdsServer): LeavingProxies {
    const caches = this.#caches;
    return new LeavingProxies({
      leaving: () => caches.pods.byIndex('leaving', 'fleet'),
      servicesIn: (namespace) => caches.services.byIndex('namespace', namespace),
      slicesOf: (namespace, service) => caches.slicesOf(namespace, service),
      drain: (namespace, nodeId) => server.drain(namespace, nodeId),
      nowMs: Date.now,
    });
  }

  async #work(authority: KeyPair): Promise<void> {
    const { config, logger } = this.#options;
    const ports = new ClusterPorts({
      client: this.#client,
      caches: this.#caches,
      events: this.#events,
      settings: this.#settings,
      traffic: (microservice) => this.#requirePlane().observe(microservice),
      onFleetProblem: (namespace) => {
        for (const { metadata } of this.#caches.microservices.byIndex('namespace', namespace)) this.#queue.add(microserviceKey(namespace, metadata.name));
      },
      onWrite: (key, verb, what) => logger.info(verb, { key, reconcileId: this.#reconcileIds.get(key), what }),
      nowMs: Date.now,
      monotonicMs: () => performance.now(),
    });
    const late = new AbortController();
    const stopped = AbortSignal.any([this.#stop.signal, this.#election.lost]);
    const workers = runWorkers({
      queue: this.#queue,
      concurrency: config.workers,
      timeoutMs: PASS_TIMEOUT_MS,
      signal: AbortSignal.any([this.#election.lost, late.signal]),
      observer: { started: (key) => void this.#reconcileIds.set(key, randomBytes(4).toString('hex')), finished: (pass) => this.#finished(pass) },
      reconcile: (key, signal) => this.#pass(key, signal, { ports, authority }),
    });
    await aborted(stopped);
    if (!(await this.#queue.drain(STOP_DEADLINE_MS))) late.abort(new Error(`a pass took longer than ${STOP_DEADLINE_MS} ms to end`));
    await workers;
    if (this.#election.lost.aborted) throw new Error(`leadership lost: ${String(this.#election.lost.reason)}`);
    await this.#events.drain(1_000);
    await this.#election.release();
    logger.info('stopped');
  }

  async #pass(key: string, signal: AbortSignal, { ports, authority }: { readonly ports: ClusterPorts; readonly authority: KeyPair }): Promise<Outcome> {
    const [controller, namespace = '', name = ''] = key.split('/');
    try {
      if (controller === 'microservice') return await reconcile(namespace, name, ports.microservicePorts(key, signal), this.#settings);
      return await reconcileFleet(namespace, { ...ports.fleetPorts(key, signal), ...this.#fleetCertificates(authority), bootstrap: () => this.#bootstrap() }, this.#settings);
    } catch (error) {
      return failedOutcome(error);
    }
  }

  #finished({ key, outcome, durationMs, timedOut }: Pass): void {
    const controller = key.split('/')[0] ?? '';
    this.metrics.reconciled(controller, timedOut ? 'timeout' : outcome.kind, durationMs);
    const fields = { key, reconcileId: this.#reconcileIds.get(key), outcome: outcome.kind, durationMs: Math.round(durationMs) };
    this.#reconcileIds.delete(key);
    // Somebody was faster: what they wrote is on its way through the watch.
    const isNoise = outcome.kind !== 'failed' || isConflict(outcome.error);
    if (isNoise) this.#options.logger.debug('pass', fields);
    else this.#options.logger.warn('pass failed, will be retried', { ...fields, error: outcome.error });
  }

  #bootstrap(): string {
    const { xdsHost, xdsPort } = this.#settings;
    return JSON.stringify(envoyBootstrap({ xdsHost, xdsPort, readyPort: FLEET_READY_PORT, adminPort: FLEET_ADMIN_PORT, certificateDirectory: CERTIFICATE_DIRECTORY }));
  }

  async #adsServer(authority: KeyPair): Promise<AdsServer> {
    return new AdsServer({
      certificate: await this.#serverCertificate(authority),
      removalDelayMs: DRAIN_DELAY_MS,
      clock: systemClock,
      observe: (event) => this.#observeAds(event),
    });
  }

  async #serverCertificate(authority: KeyPair) {
    const issued = await issueServerCertificate(authority, [this.#settings.xdsHost], Date.now());
    return { ...issued, caCertificates: authority.certificate };
  }

  async #renewServerCertificate(server: AdsServer, authority: KeyPair): Promise<void> {
    try {
      server.replaceCertificate(await this.#serverCertificate(authority));
    } catch (error) {
      this.#options.logger.error('the xDS certificate could not be renewed', { error });
    }
  }

  #fleetCertificates(authority: KeyPair) {
    return {
      ensureCertificate: async (namespace: string) => {
        const stored = await readFleetCertificate(this.#client, namespace);
        if (!stored || isDue(stored.certificate, Date.now()) || !isIssuedBy(stored.certificate, authority.certificate)) {
          const { certificate, privateKey } = await issueFleetCertificate(authority, namespace, Date.now());
          const files = { 'tls.crt': certificate, 'tls.key': privateKey, 'ca.crt': authority.certificate, ...secretDiscoveryFiles(CERTIFICATE_DIRECTORY) };
          await writeFleetCertificate(this.#client, namespace, files);
        }
        return { dueInMs: CERTIFICATE_CHECK_MS };
      },
      removeCertificate: (namespace: string) => removeFleetCertificate(this.#client, namespace),
    };
  }

  #trafficCaches() {
    const caches = this.#caches;
    return {
      microservices: () => caches.microservices.list(),
      microservice: (namespace: string, name: string) => caches.microservices.get(namespace, name),
      services: () => caches.services.list(),
      servicesOf: (namespace: string, name: string) => caches.services.byIndex('microservice', `${namespace}/${name}`),
      slicesOf: (namespace: string, service: string) => caches.slicesOf(namespace, service),
      fleetPods: (namespace: string) => caches.fleetPods(namespace),
    };
  }

  #requirePlane(): TrafficPlane {
    if (!this.#plane) throw new Error('the traffic plane starts with leading');
    return this.#plane;
  }

  #handlerFailed(error: unknown): void {
    this.metrics.handlerFailed();
    this.#options.logger.error('a watch handler failed', { error });
  }

  #observeAds(event: AdsEvent): void {
    const { logger } = this.#options;
    if (event.kind === 'acknowledged') return this.metrics.acknowledged(event.type, event.elapsedMs);
    if (event.kind === 'connected') this.metrics.proxies(event.namespace, 1);
    if (event.kind === 'disconnected') this.metrics.proxies(event.namespace, -1);
    if (event.kind === 'rejected') this.metrics.rejected(event.type);
    const level = event.kind === 'connected' || event.kind === 'disconnected' ? 'info' : 'warn';
    logger[level](`proxy ${event.kind}`, { ...event });
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
