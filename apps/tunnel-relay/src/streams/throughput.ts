import type { Clock, Timer } from '@vmferry/seams';
import type { PumpCounters } from '../pump/index.js';

const windowMs = 1_000;
const sampleMs = 200;

interface Sample {
  readonly atMs: number;
  readonly toPeer: number;
  readonly fromPeer: number;
}

/**
 * The rates of a running pump over the last second: what its counters have grown by since the youngest sample that is a second old, and samples
 * are 200 ms apart. In its first second a stream's rate is that since its start. Nothing is smoothed: a second of silence is a rate of 0.
 */
export class Throughput {
  readonly #clock: Clock;
  readonly #counters: PumpCounters;
  readonly #samples: Sample[];
  #timer: Timer;

  constructor(clock: Clock, counters: PumpCounters) {
    this.#clock = clock;
    this.#counters = counters;
    this.#samples = [this.#now()];
    this.#timer = clock.after(sampleMs, () => this.#sample());
  }

  /** Whole bytes per second in each direction. */
  get bytesPerSec(): { readonly toPeer: number; readonly fromPeer: number } {
    const now = this.#now();
    const [since = now] = this.#current(now);
    const seconds = (now.atMs - since.atMs) / 1_000;
    const rate = (bytes: number) => (seconds > 0 ? Math.round(bytes / seconds) : 0);
    return { toPeer: rate(now.toPeer - since.toPeer), fromPeer: rate(now.fromPeer - since.fromPeer) };
  }

  stop(): void {
    this.#timer.cancel();
  }

  #sample(): void {
    const now = this.#now();
    this.#samples.push(now);
    this.#samples.splice(0, this.#samples.length - this.#current(now).length);
    this.#timer = this.#clock.after(sampleMs, () => this.#sample());
  }

  /** From the youngest sample on that is a window old; all of them while the stream is young. */
  #current(now: Sample): readonly Sample[] {
    const first = this.#samples.findLastIndex((sample) => now.atMs - sample.atMs >= windowMs);
    return first === -1 ? this.#samples : this.#samples.slice(first);
  }

  #now(): Sample {
    const { bytesToRemote, bytesToLocal } = this.#counters;
    return { atMs: this.#clock.monotonicMs(), toPeer: bytesToRemote, fromPeer: bytesToLocal };
  }
}
