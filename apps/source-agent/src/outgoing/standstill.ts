/** Nothing has been sent for a while: what it has come to. */
export interface Stuck {
  /** Since when no byte was sent. */
  readonly ms: number;
  /** Whether QEMU has stopped the guest for the last of its memory, so that it stands still too. */
  readonly guestStopped: boolean;
}

/** A rest of this length is no news: a guest that dirties nothing, a cap, a busy host. */
const restMs = 2_000;

/** How long a guest may stand still for a switch-over in which nothing moves. The source decides alone then, so that giving up is always safe (handover rule 1). */
export const guestStillMsMax = 15_000;

/**
 * Sees a transfer that has come to a stand. QEMU waits without a bound for the other end, and TCP tells of a peer that has fallen silent after a quarter of an hour
 * (qemu-behaviour, rows B and part): a guest that QEMU has stopped would stand still for as long.
 */
export class Standstill {
  #sentBytes = -1;
  #movedMs: number;
  #toldMs: number;

  constructor(nowMs: number) {
    this.#movedMs = nowMs;
    this.#toldMs = nowMs;
  }

  /** How long nothing has moved, each two seconds of it once; null while it moves. */
  note(sentBytes: number, nowMs: number): number | null {
    if (sentBytes !== this.#sentBytes) this.#movedMs = nowMs;
    this.#sentBytes = sentBytes;
    if (nowMs - Math.max(this.#movedMs, this.#toldMs) < restMs) return null;
    this.#toldMs = nowMs;
    return nowMs - this.#movedMs;
  }
}
