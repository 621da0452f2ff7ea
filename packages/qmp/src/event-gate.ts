const windowMs = 1000;

/** Events a second that are read. QEMU limits those that a guest can cause to a few a second; more is a flood (threats, row 15). */
export const eventsPerSecondMax = 10_000;

/** Counts events in windows of a second, and says for how long to stop reading when a window is full. */
export class EventGate {
  #windowStartMs = Number.NEGATIVE_INFINITY;
  #count = 0;

  count(nowMs: number): void {
    if (nowMs - this.#windowStartMs >= windowMs) {
      this.#windowStartMs = nowMs;
      this.#count = 0;
    }
    this.#count += 1;
  }

  /** Milliseconds until reading may go on, 0 when it may now. */
  waitMs(nowMs: number): number {
    if (this.#count < eventsPerSecondMax) return 0;
    return Math.max(0, this.#windowStartMs + windowMs - nowMs);
  }
}
