import type { MigrationTimeouts, TimeoutAction } from '@vmferry/api';

/** Which time is over, and what is to be done. */
export interface Overdue {
  readonly action: TimeoutAction;
  readonly what: 'total' | 'stall';
  readonly seconds: number;
}

const kibPerGib = 1_048_576;

/** `totalSeconds` and `secondsPerGib` of the guest's memory together; null when neither is set. */
export function limitSecondsOf({ totalSeconds, secondsPerGib }: MigrationTimeouts, memoryKib: number): number | null {
  if (totalSeconds === undefined && secondsPerGib === undefined) return null;
  return Math.ceil((totalSeconds ?? 0) + (secondsPerGib ?? 0) * (memoryKib / kibPerGib));
}

/**
 * Keeps the time of one transfer from QEMU's `migrate` on. It makes progress while bytes are sent and the passes leave less and less;
 * `stallSeconds` is for how long it may not. A guest that was stopped and still makes no progress would stand still for ever: then the
 * stall cancels, whatever the action is.
 */
export class Patience {
  readonly #startedMs: number;
  readonly #memoryKib: number;
  #timeouts: MigrationTimeouts;
  #progressMs: number;
  #sentBytes = 0;
  #paused = false;
  #over = false;

  constructor(timeouts: MigrationTimeouts, memoryKib: number, nowMs: number) {
    this.#timeouts = timeouts;
    this.#memoryKib = memoryKib;
    this.#startedMs = nowMs;
    this.#progressMs = nowMs;
  }

  set(timeouts: MigrationTimeouts): void {
    this.#timeouts = timeouts;
  }

  /** The guest was stopped: from now on nothing is dirtied, and what does not move is stuck. */
  paused(nowMs: number): void {
    this.#paused = true;
    this.#progressMs = nowMs;
  }

  progressed(sentBytes: number, converging: boolean | null, nowMs: number): void {
    if (sentBytes > this.#sentBytes && (converging !== false || this.#paused)) this.#progressMs = nowMs;
    this.#sentBytes = sentBytes;
  }

  /** What is to be done now, each thing once; null while there is time. */
  overdue(nowMs: number): Overdue | null {
    if (this.#over) return null;
    const { action = 'cancel', stallSeconds } = this.#timeouts;
    const totalSeconds = limitSecondsOf(this.#timeouts, this.#memoryKib);
    const isOver = (seconds: number | null | undefined, sinceMs: number) => seconds != null && nowMs - sinceMs >= seconds * 1_000;
    if (isOver(stallSeconds, this.#progressMs)) return this.#act(this.#paused ? 'cancel' : action, 'stall', stallSeconds ?? 0);
    const completing = this.#paused && action === 'pause';
    if (isOver(totalSeconds, this.#startedMs) && !completing) return this.#act(action, 'total', totalSeconds ?? 0);
    return null;
  }

  #act(action: TimeoutAction, what: Overdue['what'], seconds: number): Overdue {
    if (action === 'cancel') this.#over = true;
    return { action, what, seconds };
  }
}
