/** The words of the memory that the threads share, eight bytes each. */
const word = { bytesPerSec: 0, nextNs: 1 } as const;
const words = Object.keys(word).length;
const nsPerSec = 1_000_000_000n;
const nsPerMs = 1_000_000n;

/** How much lost time may be made up for: longer than a thread usually oversleeps, and a thirtieth of a second's bytes at most. */
const arrearsNs = 30n * nsPerMs;
/** What goes at once is 4 ms of the rate: `poll` counts in milliseconds, and whoever takes turns waits for the turns of the others. */
const turnsPerSec = 250n;
const turnBytesMin = 4_096n;
const turnBytesMax = 262_144n;

/**
 * A rate in one direction, kept together by the threads that hold its memory: a token bucket that is written as the time at which
 * all that was reserved until now has gone at this rate. A reservation is one exchange of that word and is honoured in the order in which it was
 * made, so that threads which reserve a turn after each other get equal parts, and none needs to know of the others.
 */
export class Pace {
  readonly #words: BigInt64Array;

  constructor(readonly memory: SharedArrayBuffer = new SharedArrayBuffer(words * BigInt64Array.BYTES_PER_ELEMENT)) {
    this.#words = new BigInt64Array(memory);
  }

  /** 0 is no limit. What is reserved at that moment waits for its time by the old rate: 4 ms for a stream's own. */
  setRate(bytesPerSec: number): void {
    Atomics.store(this.#words, word.bytesPerSec, BigInt(bytesPerSec));
  }

  /** How much is to be reserved at once at most. */
  get turnBytes(): number {
    const rate = this.#rate;
    if (rate === 0n) return Number.POSITIVE_INFINITY;
    const turn = rate / turnsPerSec;
    return Number(turn < turnBytesMin ? turnBytesMin : turn > turnBytesMax ? turnBytesMax : turn);
  }

  /** When so many bytes may go, on the monotonic clock of the host; a time that is past when they may go now. */
  reserve(bytes: number): bigint {
    const rate = this.#rate;
    if (rate === 0n) return 0n;
    const earliest = process.hrtime.bigint() - arrearsNs;
    const lasting = (BigInt(bytes) * nsPerSec) / rate;
    for (;;) {
      const next = Atomics.load(this.#words, word.nextNs);
      const from = next > earliest ? next : earliest;
      if (Atomics.compareExchange(this.#words, word.nextNs, next, from + lasting) === next) return from;
    }
  }

  get #rate(): bigint {
    return Atomics.load(this.#words, word.bytesPerSec);
  }
}

/** One cap, kept in each direction by itself, so that a torrent in one never holds up the return path in the other. */
export class Bandwidth {
  readonly toLocal = new Pace();
  readonly toRemote = new Pace();

  /** 0 is no limit. */
  limit(bytesPerSec: number): void {
    this.toLocal.setRate(bytesPerSec);
    this.toRemote.setRate(bytesPerSec);
  }
}

/**
 * What one direction of one stream may move, and when, under a rate of its own and one that it shares. Of the shared one it reserves whole turns
 * and uses them up by and by: a stream that moves less at once, because of its own rate, has the same part as the others.
 */
export class Turns {
  #sharedBytes = 0;
  #dueNs = 0n;

  constructor(
    private readonly own: Pace,
    private readonly shared: Pace,
  ) {}

  /** How much is to be taken at once at most. */
  get bytesMax(): number {
    return Math.min(this.own.turnBytes, this.shared.turnBytes);
  }

  /** Reserves the time of bytes that wait to go. */
  take(bytes: number): void {
    this.#dueNs = this.own.reserve(bytes);
    const turn = this.shared.turnBytes;
    if (turn === Number.POSITIVE_INFINITY) return;
    while (this.#sharedBytes < bytes) {
      const due = this.shared.reserve(turn);
      if (due > this.#dueNs) this.#dueNs = due;
      this.#sharedBytes += turn;
    }
    this.#sharedBytes -= bytes;
  }

  /** Whole milliseconds until what was taken may go; less than one is not waited for, the next turn waits for it. */
  get waitMs(): number {
    if (this.#dueNs === 0n) return 0;
    const left = this.#dueNs - process.hrtime.bigint();
    return left > 0n ? Number(left / nsPerMs) : 0;
  }
}
