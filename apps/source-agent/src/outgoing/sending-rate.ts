/** Long enough to see through a burst, short enough to follow a change of the bandwidth. */
const windowMs = 1_000;
/** Two looks that are closer say nothing. */
const leastMs = 100;

/** The bytes per second that were really sent in the last second, from counters that were read at any times. */
export class SendingRate {
  readonly #samples: { readonly bytes: number; readonly atMs: number }[] = [];

  note(bytes: number, atMs: number): void {
    this.#samples.push({ bytes, atMs });
    while ((this.#samples[1]?.atMs ?? atMs) <= atMs - windowMs) this.#samples.shift();
  }

  /** Null until enough was seen. */
  get bytesPerSec(): number | null {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.atMs - first.atMs < leastMs) return null;
    return ((last.bytes - first.bytes) / (last.atMs - first.atMs)) * 1_000;
  }
}
