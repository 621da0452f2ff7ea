import type { DirectionName } from './pump-end.js';

/** The words of the memory that both threads share, eight bytes each. */
const word = { bytesToLocal: 0, bytesToRemote: 1, spliceCalls: 2, stalls: 3, lastByteNs: 4, abort: 5 } as const;
const words = Object.keys(word).length;
const nsPerMs = 1_000_000n;

/** Live figures of a pump; each read is the value of that moment. They stay readable after its end. */
export interface PumpCounters {
  /** Bytes handed to the kernel for the local connection. */
  readonly bytesToLocal: number;
  /** Bytes handed to the kernel for the remote connection. */
  readonly bytesToRemote: number;
  readonly spliceCalls: number;
  /** How often the worker had to sleep with bytes in a pipe because their receiver took none. */
  readonly stalls: number;
  /** Milliseconds since the last byte was moved in either direction, or since the start. */
  readonly silentMs: number;
}

/**
 * The memory through which the worker tells its figures and hears of an abort. `lastByteNs` is read from the monotonic clock of
 * the host, which all threads share, whereas `performance.now()` starts at 0 in each.
 */
export class SharedCounters implements PumpCounters {
  readonly #words: BigInt64Array;

  constructor(readonly memory: SharedArrayBuffer = new SharedArrayBuffer(words * BigInt64Array.BYTES_PER_ELEMENT)) {
    this.#words = new BigInt64Array(memory);
    Atomics.compareExchange(this.#words, word.lastByteNs, 0n, process.hrtime.bigint());
  }

  get bytesToLocal(): number {
    return this.#read(word.bytesToLocal);
  }

  get bytesToRemote(): number {
    return this.#read(word.bytesToRemote);
  }

  get spliceCalls(): number {
    return this.#read(word.spliceCalls);
  }

  get stalls(): number {
    return this.#read(word.stalls);
  }

  get silentMs(): number {
    return Number((process.hrtime.bigint() - Atomics.load(this.#words, word.lastByteNs)) / nsPerMs);
  }

  get abortWanted(): boolean {
    return Atomics.load(this.#words, word.abort) !== 0n;
  }

  wantAbort(): void {
    Atomics.store(this.#words, word.abort, 1n);
  }

  countSplice(): void {
    Atomics.add(this.#words, word.spliceCalls, 1n);
  }

  countStall(): void {
    Atomics.add(this.#words, word.stalls, 1n);
  }

  countBytes(direction: DirectionName, bytes: number): void {
    // In this order, so that whoever sees the bytes sees when they came.
    Atomics.store(this.#words, word.lastByteNs, process.hrtime.bigint());
    Atomics.add(this.#words, direction === 'to-local' ? word.bytesToLocal : word.bytesToRemote, BigInt(bytes));
  }

  #read(index: number): number {
    return Number(Atomics.load(this.#words, index));
  }
}
