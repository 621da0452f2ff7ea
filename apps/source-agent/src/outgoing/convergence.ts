import type { MigrationProgress } from '@vmferry/api';
import type { MigrationStatus } from '@vmferry/hypervisor';

/** The first downtime limit. QEMU trusts the rate of its first 100 ms; a low limit keeps that trust cheap (qemu-behaviour). */
const firstDowntimeLimitMs = 10;
/** A pass has converged when less than this part of what was left before is left after it. */
const shrinkFactor = 0.9;

/** Weighs the passes of one migration: raises the downtime limit when `remaining` stops falling, and tells the progress. */
export class Convergence {
  #limitMs: number;
  #maxMs: number;
  #remainingBefore: number | null = null;
  #converging: boolean | null = null;
  #processedBytes = 0;

  constructor(downtimeMsMax: number) {
    this.#maxMs = downtimeMsMax;
    this.#limitMs = Math.min(firstDowntimeLimitMs, downtimeMsMax);
  }

  get limitMs(): number {
    return this.#limitMs;
  }

  setMax(downtimeMsMax: number): void {
    this.#maxMs = downtimeMsMax;
    this.#limitMs = Math.min(this.#limitMs, downtimeMsMax);
  }

  /** Weighs what is left after a pass; true when the limit was raised and QEMU is to be told. */
  afterPass(remainingBytes: number): boolean {
    const before = this.#remainingBefore;
    this.#remainingBefore = remainingBytes;
    if (before === null) return false;
    this.#converging = remainingBytes < before * shrinkFactor;
    if (this.#converging || this.#limitMs >= this.#maxMs) return false;
    this.#limitMs = Math.min(this.#limitMs * 2, this.#maxMs);
    return true;
  }

  /** Bytes that were processed never become fewer: a new pass adds to what is left, not to what is undone. */
  progressOf(status: MigrationStatus): MigrationProgress {
    const { ram } = status;
    const totalBytes = ram?.totalBytes ?? 0;
    const remainingBytes = ram?.remainingBytes ?? totalBytes;
    this.#processedBytes = Math.max(this.#processedBytes, totalBytes - remainingBytes);
    const stuck = this.#converging === false && this.#limitMs >= this.#maxMs;
    return {
      memory: {
        totalBytes,
        processedBytes: this.#processedBytes,
        remainingBytes,
        dirtyRateBytesPerSec: (ram?.dirtyPagesPerSec ?? 0) * (ram?.pageBytes ?? 0),
        iteration: ram?.iteration ?? 0,
        zeroPages: ram?.duplicatePages ?? 0,
      },
      throughputBytesPerSec: Math.round(((ram?.throughputMbitPerSec ?? 0) * 1_000_000) / 8),
      downtime: { limitMs: this.#limitMs, expectedMs: status.expectedDowntimeMs ?? null, actualMs: null },
      converging: this.#converging,
      hint: stuck ? 'The guest dirties its memory as fast as it is sent: raise downtimeMsMax or the bandwidth.' : null,
    };
  }
}
