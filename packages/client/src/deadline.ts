import type { Clock, Timer } from '@vmferry/seams';

/**
 * One signal for a whole exchange: it is aborted with the caller's signal, and by the clock with `error`. axios' own timeout is of
 * inactivity, so that a peer which drips bytes would be waited for without end.
 */
export class Deadline {
  readonly #ended = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #timer: Timer;
  readonly #abort = () => this.#ended.abort(this.#caller?.reason);

  constructor(clock: Clock, afterMs: number, caller: AbortSignal | undefined, error: () => Error) {
    this.#caller = caller;
    this.#timer = clock.after(afterMs, () => this.#ended.abort(error()));
    if (caller?.aborted === true) this.#abort();
    else caller?.addEventListener('abort', this.#abort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** For an answer that may take as long as its caller wants it. */
  stopClock(): void {
    this.#timer.cancel();
  }

  /** The exchange is over. */
  release(): void {
    this.#timer.cancel();
    this.#caller?.removeEventListener('abort', this.#abort);
  }
}
