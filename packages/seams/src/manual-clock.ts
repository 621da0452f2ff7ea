import type { Clock } from './clock.js';

type Pending = { atMs: number; act: () => void };

/** A clock that a spec moves by hand: nothing falls due by itself. */
export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #pending = new Set<Pending>();

  monotonicMs(): number {
    return this.#nowMs;
  }

  wall(): Date {
    return new Date(Date.UTC(2030, 0, 1) + this.#nowMs);
  }

  after(delayMs: number, act: () => void): { cancel(): void } {
    const pending = { atMs: this.#nowMs + delayMs, act };
    this.#pending.add(pending);
    return { cancel: () => this.#pending.delete(pending) };
  }

  get timers(): number {
    return this.#pending.size;
  }

  /** Moves time on, running what falls due in its order. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#pending].filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#pending.delete(due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.act();
    }
    this.#nowMs = untilMs;
  }

  /** Moves time on without running any timer, as a freeze of the process does. */
  freeze(ms: number): void {
    this.#nowMs += ms;
  }
}
