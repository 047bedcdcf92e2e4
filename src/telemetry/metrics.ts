import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export interface Sampled {
  readonly queueDepth: () => number;
  readonly longestRunningMs: () => number;
  readonly isLeader: () => boolean;
}

/** The operator's Prometheus metrics, named as controller-runtime and client-go name theirs where they mean the same. */
export class Metrics {
  readonly registry = new Registry();
  readonly #reconciles = this.#counter('controller_runtime_reconcile_total', 'Passes by controller and result', ['controller', 'result']);
  readonly #reconcileSeconds = this.#histogram('controller_runtime_reconcile_time_seconds', 'Duration of a pass', ['controller']);
  readonly #queueSeconds = this.#histogram('workqueue_queue_duration_seconds', 'From ready to taken by a worker', []);
  readonly #retries = this.#counter('workqueue_retries_total', 'Rate-limited retries', []);
  readonly #requests = this.#counter('rest_client_requests_total', 'Answers of the API server', ['method', 'code']);
  readonly #handlerErrors = this.#counter('informer_handler_errors_total', 'Errors thrown by watch handlers: each is a bug', []);
  readonly #acks = this.#histogram('microservice_operator_xds_ack_seconds', 'From a response to its ACK', ['type']);
  readonly #nacks = this.#counter('microservice_operator_xds_nacks_total', 'Responses that a proxy rejected', ['type']);
  readonly #proxies = this.#gauge('microservice_operator_xds_proxies', 'Connected proxies', ['namespace']);
  readonly #weightDelay = this.#histogram('microservice_operator_weight_delay_seconds', 'From a seen change to the last ACK', []);
  readonly #droppedEvents = this.#counter('microservice_operator_events_dropped_total', 'Kubernetes Events not written', []);

  constructor(sampled: Sampled) {
    collectDefaultMetrics({ register: this.registry });
    this.#sample('workqueue_depth', 'Ready keys that no worker has taken', sampled.queueDepth);
    this.#sample('workqueue_longest_running_processor_seconds', 'The oldest running pass', () => sampled.longestRunningMs() / 1000);
    this.#sample('leader_election_master_status', '1 on the leader', () => (sampled.isLeader() ? 1 : 0));
  }

  reconciled(controller: string, result: string, durationMs: number): void {
    this.#reconciles.inc({ controller, result });
    this.#reconcileSeconds.observe({ controller }, durationMs / 1000);
  }

  queued(queuedMs: number): void {
    this.#queueSeconds.observe(queuedMs / 1000);
  }

  retried(): void {
    this.#retries.inc();
  }

  requested(method: string, code: number): void {
    this.#requests.inc({ method, code: String(code) });
  }

  handlerFailed(): void {
    this.#handlerErrors.inc();
  }

  acknowledged(type: string, elapsedMs: number): void {
    this.#acks.observe({ type }, elapsedMs / 1000);
  }

  rejected(type: string): void {
    this.#nacks.inc({ type });
  }

  proxies(namespace: string, change: 1 | -1): void {
    this.#proxies.inc({ namespace }, change);
  }

  weightApplied(delayMs: number): void {
    this.#weightDelay.observe(delayMs / 1000);
  }

  eventDropped(): void {
    this.#droppedEvents.inc();
  }

  #counter(name: string, help: string, labelNames: readonly string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #gauge(name: string, help: string, labelNames: readonly string[]): Gauge {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  #histogram(name: string, help: string, labelNames: readonly string[]): Histogram {
    return new Histogram({ name, help, labelNames, buckets: SECONDS, registers: [this.registry] });
  }

  #sample(name: string, help: string, read: () => number): Gauge {
    return new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }
}
