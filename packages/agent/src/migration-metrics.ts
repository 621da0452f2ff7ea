import { type MigrationResource, migrationPhase, migrationState } from '@vmferry/api';
import type { LiveMigration, Metrics } from '@vmferry/service';

const sides = ['source', 'destination'] as const;
const endings = ['SUCCEEDED', 'FAILED', 'CANCELLED', 'NEEDS_ATTENTION'] as const;
const phaseBucketsSeconds = [0.01, 0.05, 0.2, 1, 5, 30, 120, 600];
const downtimeBucketsSeconds = [0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1, 3];

/** The figures of an agent's migrations for /metrics: what is under way at each scrape, and each migration once when it has ended. */
export class MigrationMetrics {
  readonly #side: (typeof sides)[number];
  readonly #phases;
  readonly #downtime;
  readonly #ended;
  readonly #bytes;

  constructor(metrics: Metrics, side: (typeof sides)[number], all: () => readonly { readonly live: LiveMigration }[]) {
    this.#side = side;
    metrics.gauge('migrations_active', 'Migrations that are not finished.', { side: sides, state: migrationState.options }, () =>
      countsOf(all()).map(({ state, value }) => ({ labels: { side, state }, value })),
    );
    this.#phases = metrics.histogram(
      'migration_phase_duration_seconds',
      'From the beginning of a phase to that of the next, or to the end.',
      { phase: migrationPhase.options, side: sides },
      phaseBucketsSeconds,
    );
    this.#downtime = metrics.histogram(
      'migration_downtime_seconds',
      'STOP on the source to RESUME on the destination.',
      {},
      downtimeBucketsSeconds,
    );
    this.#ended = metrics.counter('migrations_ended_total', 'Migrations that have ended, by their state.', {
      side: sides,
      state: endings,
    });
    this.#bytes = metrics.counter('migration_processed_bytes_total', 'Guest memory that ended migrations have processed.', {
      side: sides,
    });
  }

  /** Takes the figures of a migration that has just ended. */
  ended(migration: MigrationResource): void {
    const side = this.#side;
    const state = endings.find((ending) => ending === migration.state);
    if (state !== undefined) this.#ended.add({ side, state });
    const ends = [...migration.phaseTransitions.slice(1).map(({ at }) => at), migration.finishedAt];
    for (const [index, { phase, side: phaseSide, at }] of migration.phaseTransitions.entries()) {
      const end = ends[index];
      if (end != null) this.#phases.observe({ phase, side: phaseSide }, Math.max(0, Date.parse(end) - Date.parse(at)) / 1_000);
    }
    const { progress } = migration;
    if (progress === null) return;
    this.#bytes.add({ side }, progress.memory.transferredBytes);
    if (progress.downtime.actualMs !== null) this.#downtime.observe({}, progress.downtime.actualMs / 1_000);
  }
}

function countsOf(all: readonly { readonly live: LiveMigration }[]): { state: MigrationResource['state']; value: number }[] {
  const active = all.map(({ live }) => live.value).filter(({ finishedAt }) => finishedAt === null);
  return migrationState.options.map((state) => ({
    state,
    value: active.filter((migration) => migration.state === state).length,
  }));
}
