import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/**
 * The values that each label may have. A label without a closed list would grow without bound, except in what is read at each scrape
 * (`total`, `gauge`): there a series ends with what it is of, and the list may stay empty when that is bounded.
 */
export type LabelValues = Readonly<Record<string, readonly string[]>>;
type Labels<L extends LabelValues> = { readonly [K in keyof L]: L[K][number] };

/** The metrics of one app, in a registry of its own. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Histogram<'method' | 'route' | 'status'>;

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    this.#requests = new Histogram({
      name: 'http_request_duration_seconds',
      help: 'Time from the head of a request to the end of its answer; route is the pattern, not the path.',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
      registers: [this.#registry],
    });
  }

  observeRequest(labels: { method: string; route: string; status: number }, seconds: number): void {
    this.#requests.observe({ ...labels, status: String(labels.status) }, seconds);
  }

  counter<const L extends LabelValues>(name: string, help: string, labels: L): { add(labels: Labels<L>, amount?: number): void } {
    const counter = new Counter({ name, help, labelNames: Object.keys(labels), registers: [this.#registry] });
    return { add: (values, amount = 1) => counter.inc({ ...values }, amount) };
  }

  /** A counter whose totals are kept elsewhere: `read` is asked for them at each scrape, and they only grow. */
  total<const L extends LabelValues>(
    name: string,
    help: string,
    labels: L,
    read: () => readonly { labels: Labels<L>; value: number }[],
  ): void {
    new Counter({
      name,
      help,
      labelNames: Object.keys(labels),
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const { labels: values, value } of read()) this.inc({ ...values }, value);
      },
    });
  }

  /** `read` is asked at each scrape, so a gauge needs no upkeep. */
  gauge<const L extends LabelValues>(
    name: string,
    help: string,
    labels: L,
    read: () => readonly { labels: Labels<L>; value: number }[],
  ): void {
    new Gauge({
      name,
      help,
      labelNames: Object.keys(labels),
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const { labels: values, value } of read()) this.set({ ...values }, value);
      },
    });
  }

  histogram<const L extends LabelValues>(
    name: string,
    help: string,
    labels: L,
    bucketsSeconds: readonly number[],
  ): { observe(labels: Labels<L>, seconds: number): void } {
    const histogram = new Histogram({
      name,
      help,
      labelNames: Object.keys(labels),
      buckets: [...bucketsSeconds],
      registers: [this.#registry],
    });
    return { observe: (values, seconds) => histogram.observe({ ...values }, seconds) };
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }
}
