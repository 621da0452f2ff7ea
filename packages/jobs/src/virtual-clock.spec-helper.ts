import type { Clock } from '@vmferry/seams';

/** A clock for the specs: time goes on only when it is told to. */
export class VirtualClock implements Clock {
  #nowMs = 1_000_000;
  readonly #timers = new Set<{ dueMs: number; act: () => void }>();

  monotonicMs(): number {
    return this.#nowMs;
  }

  wall(): Date {
    return new Date(Date.UTC(2026, 0, 1) + this.#nowMs);
  }

  after(delayMs: number, act: () => void): { cancel: () => void } {
    const timer = { dueMs: this.#nowMs + delayMs, act };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  get timers(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.#nowMs = Math.max(this.#nowMs, due.dueMs);
      due.act();
    }
    this.#nowMs = endMs;
  }
}
