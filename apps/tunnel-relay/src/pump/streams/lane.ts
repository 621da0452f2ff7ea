import { setTimeout } from 'node:timers/promises';
import type { SharedCounters } from '../counters.js';
import type { DirectionJob } from '../direction.js';
import { Pace, Turns } from '../pace.js';
import type { NodeEnd } from './node-end.js';

/** What goes towards one end: piece after piece in the order in which they came, each when its turn under the caps has come, and then the end. */
export class Lane {
  readonly #turns: Turns;
  #before: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly job: Pick<DirectionJob, 'name' | 'paces'>,
    private readonly to: () => NodeEnd,
    private readonly counters: SharedCounters,
    /** Aborted when nothing is to go any more. */
    private readonly over: AbortSignal,
  ) {
    this.#turns = new Turns(new Pace(job.paces.own), new Pace(job.paces.shared));
  }

  /** The piece is lent until `taken` is called. */
  piece(bytes: Uint8Array, taken: () => void): void {
    this.#next(async () => {
      await this.#turnOf(bytes.length);
      if (this.over.aborted) return;
      this.to().write(bytes, () => {
        this.counters.countBytes(this.job.name, bytes.length);
        taken();
      });
    });
  }

  end(done: () => void): void {
    this.#next(() => this.to().end(done));
  }

  #next(act: () => unknown): void {
    this.#before = this.#before.then(() => (this.over.aborted ? undefined : act()));
  }

  async #turnOf(bytes: number): Promise<void> {
    this.#turns.take(bytes);
    const { waitMs } = this.#turns;
    if (waitMs > 0) await setTimeout(waitMs, undefined, { signal: this.over }).catch(() => undefined);
  }
}
