import { VmferryError } from '@vmferry/errors';
import type { Clock } from '@vmferry/seams';

/** Keys that were asked about and never prepared here, at most. A question costs its asker nothing, and a tombstone is a durable document. */
export const tombstonesMax = 1_000;
/** A tombstone that nobody has asked about for a day gives way: no Prepare is under way for so long. */
const restMs = 24 * 3_600 * 1_000;

/** The tombstones by name, the one that was asked about least recently first. Those that were there at the start count as asked about then. */
export class Tombstones {
  readonly #clock: Clock;
  readonly #askedAtMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#askedAtMs.size;
  }

  asked(name: string): void {
    this.#askedAtMs.delete(name);
    this.#askedAtMs.set(name, this.#clock.monotonicMs());
  }

  remove(name: string): void {
    this.#askedAtMs.delete(name);
  }

  /**
   * Which one gives way to another; null while there is room. Throws `too-many-requests` when none may: a question without an answer is
   * asked again, and nobody runs a guest on it.
   */
  givesWay(): string | null {
    if (this.size < tombstonesMax) return null;
    const [[name, askedAtMs] = ['', 0]] = this.#askedAtMs;
    if (this.#clock.monotonicMs() - askedAtMs >= restMs) return name;
    const detail = `${tombstonesMax} migrations that were never prepared on this host have been asked about within a day; no further one is answered for now.`;
    throw new VmferryError('too-many-requests', detail);
  }
}
