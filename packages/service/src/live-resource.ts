import { isDeepStrictEqual } from 'node:util';
import type { MigrationResource } from '@vmferry/api';
import type { Clock } from '@vmferry/seams';
import { Publisher } from './publisher.js';

type Change = Partial<Omit<MigrationResource, 'id' | 'generation' | 'side'>>;

/**
 * A migration as its watchers see it: one value, published with each change. The generation is one more than the last and never
 * behind the wall clock in milliseconds, so that it also grows over a restart of the agent without being written for each progress.
 */
export class LiveMigration {
  readonly publisher: Publisher<MigrationResource>;
  readonly #clock: Clock;

  constructor(clock: Clock, first: Omit<MigrationResource, 'generation'>) {
    const generation = clock.wall().getTime();
    this.#clock = clock;
    this.publisher = new Publisher({ clock, value: { ...first, generation }, generation });
  }

  get value(): MigrationResource {
    return this.publisher.current.value;
  }

  /**
   * Publishes `change`. `done` is the last publication, and what comes after it is only kept. A `phase` in which phase, state, guest and
   * outcome are what they were is told as `progress`, and one in which nothing has changed is not told.
   */
  update(event: 'phase' | 'progress' | 'done', change: Change): void {
    if (this.publisher.ended) return;
    if (event === 'phase' && !this.#changes(change, ['phase', 'state', 'guest', 'outcome'])) {
      if (this.#changes(change, Object.keys(change))) this.update('progress', change);
      return;
    }
    const generation = Math.max(this.value.generation + 1, this.#clock.wall().getTime());
    this.publisher.publish(event, { ...this.value, ...change, generation }, generation);
  }

  #changes(change: Change, keys: readonly string[]): boolean {
    const next: Record<string, unknown> = { ...this.value, ...change };
    const now: Record<string, unknown> = { ...this.value };
    return keys.some((key) => !isDeepStrictEqual(next[key], now[key]));
  }

  /** Enters a phase of the protocol; entering the same one again on the same side is no transition. */
  enter(phase: MigrationResource['phase'], side: 'source' | 'destination'): void {
    const last = this.value.phaseTransitions.at(-1);
    if (last?.phase === phase && last.side === side) return;
    const phaseTransitions = [...this.value.phaseTransitions, { phase, side, at: this.#clock.wall().toISOString() }];
    this.update('phase', { phase, phaseTransitions });
  }
}
