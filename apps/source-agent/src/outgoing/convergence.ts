import type { MigrationProgress } from '@vmferry/api';
import type { MigrationStatus } from '@vmferry/hypervisor';
import { SendingRate } from './sending-rate.js';

/** The first downtime limit. QEMU trusts the rate of its first 100 ms; a low limit keeps that trust cheap (qemu-behaviour). */
export const firstDowntimeLimitMs = 10;
/** A pass has converged when no more than this part of the least that was left before is left after it. */
export const shrinkFactor = 0.9;
/** QEMU is told of another limit when it differs by more than this part: the rates it is made of are never the same twice. */
const worthTelling = 0.2;

/**
 * Weighs the passes of one migration, look by look: raises what the guest may be stopped for when a pass leaves no less than those
 * before it, and tells the progress, which never goes back.
 *
 * The steps double from 10 ms to the caller's maximum, and those are skipped that are too short for what is left at the measured rate.
 * QEMU stops the guest when what is left fits into limit x the rate of its last 100 ms; a burst would make it stop the guest for
 * longer than it was granted. So the limit is the granted time, made smaller as far as QEMU believes in more than the last second has shown.
 */
export class Convergence {
  #maxMs: number;
  #grantedMs: number;
  #limitMs: number;
  #iteration = 1;
  #leastBytes = Number.POSITIVE_INFINITY;
  #leftBytes: number | null = null;
  #converging: boolean | null = null;
  #processedBytes = 0;
  #transferredBytes = 0;
  readonly #rate = new SendingRate();

  constructor(downtimeMsMax: number) {
    this.#maxMs = downtimeMsMax;
    this.#grantedMs = Math.min(firstDowntimeLimitMs, downtimeMsMax);
    this.#limitMs = this.#grantedMs;
  }

  /** What QEMU's downtime limit is to be now. */
  get limitMs(): number {
    return this.#limitMs;
  }

  /** Whether less was left after the last pass than after those before it; null until two passes are known. */
  get converging(): boolean | null {
    return this.#converging;
  }

  setMax(downtimeMsMax: number): void {
    this.#maxMs = downtimeMsMax;
    this.#grantedMs = Math.min(this.#grantedMs, downtimeMsMax);
    this.#limitMs = Math.min(this.#limitMs, downtimeMsMax);
  }

  /** Weighs one look at QEMU, the looks in their order; true when the limit is another one and QEMU is to be told. */
  weigh({ ram }: MigrationStatus, atMs: number): boolean {
    if (ram === undefined) return false;
    this.#rate.note(ram.transferredBytes, atMs);
    if (this.#leastBytes === Number.POSITIVE_INFINITY) this.#leastBytes = ram.totalBytes;
    // At the beginning of a pass `remaining` is what the pass before has left, exactly.
    if (ram.iteration > this.#iteration) this.#afterPass(ram.remainingBytes);
    this.#iteration = Math.max(this.#iteration, ram.iteration);
    const limitMs = this.#trusted(bytesPerSecOf(ram.throughputMbitPerSec));
    if (Math.abs(limitMs - this.#limitMs) <= this.#limitMs * worthTelling) return false;
    this.#limitMs = limitMs;
    return true;
  }

  /** The progress as of the last look. Bytes that were processed never become fewer: a new pass adds to what is left, not to what is undone. */
  progressOf(status: MigrationStatus): MigrationProgress {
    const { ram } = status;
    const totalBytes = ram?.totalBytes ?? 0;
    const remainingBytes = ram?.remainingBytes ?? totalBytes;
    this.#processedBytes = Math.max(this.#processedBytes, totalBytes - remainingBytes);
    this.#transferredBytes = Math.max(this.#transferredBytes, ram?.transferredBytes ?? 0);
    return {
      memory: {
        totalBytes,
        processedBytes: this.#processedBytes,
        transferredBytes: this.#transferredBytes,
        remainingBytes,
        dirtyRateBytesPerSec: (ram?.dirtyPagesPerSec ?? 0) * (ram?.pageBytes ?? 0),
        iteration: Math.max(this.#iteration, ram?.iteration ?? 0),
        zeroPages: ram?.duplicatePages ?? 0,
      },
      throughputBytesPerSec: this.#throughput(status),
      downtime: { limitMs: this.#limitMs, expectedMs: this.#neededMs(), actualMs: null, announcedMs: null },
      converging: this.#converging,
      hint: this.#hint(),
    };
  }

  #afterPass(leftBytes: number): void {
    this.#leftBytes = leftBytes;
    this.#converging = leftBytes <= this.#leastBytes * shrinkFactor;
    this.#leastBytes = Math.min(this.#leastBytes, leftBytes);
    if (this.#converging) return;
    const neededMs = this.#neededMs() ?? 0;
    do this.#grantedMs = Math.min(this.#grantedMs * 2, this.#maxMs);
    while (this.#grantedMs < neededMs && neededMs <= this.#maxMs);
  }

  /** The limit that keeps the stop within what is granted although QEMU believes in `believedPerSec`; the first one is let be. */
  #trusted(believedPerSec: number): number {
    const measuredPerSec = this.#rate.bytesPerSec;
    if (measuredPerSec === null || believedPerSec <= measuredPerSec) return this.#grantedMs;
    const leastMs = Math.min(firstDowntimeLimitMs, this.#grantedMs);
    return Math.max(leastMs, Math.round((this.#grantedMs * measuredPerSec) / believedPerSec));
  }

  /** How long the guest would have to be stopped for what the last pass has left, at the measured rate. */
  #neededMs(): number | null {
    const measuredPerSec = this.#rate.bytesPerSec;
    if (this.#leftBytes === null || measuredPerSec === null || measuredPerSec === 0) return null;
    return Math.ceil((this.#leftBytes / measuredPerSec) * 1_000);
  }

  /** While it runs the rate of the last second; afterwards QEMU's own, which is that of the whole. */
  #throughput({ status, ram }: MigrationStatus): number {
    const told = bytesPerSecOf(ram?.throughputMbitPerSec ?? 0);
    return Math.round(status === 'completed' ? told : (this.#rate.bytesPerSec ?? told));
  }

  #hint(): string | null {
    if (this.#converging !== false || this.#grantedMs < this.#maxMs) return null;
    const neededMs = this.#neededMs();
    const takes = neededMs === null ? '' : ` What a pass leaves would take ${neededMs} ms.`;
    return `The guest dirties its memory as fast as it is sent.${takes} Raise downtimeMsMax or the bandwidth, or force it to complete.`;
  }
}

const bytesPerSecOf = (mbitPerSec: number): number => (mbitPerSec * 1_000_000) / 8;
