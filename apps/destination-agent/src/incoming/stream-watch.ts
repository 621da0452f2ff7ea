import type { Timer } from '@vmferry/seams';
import type { DestinationContext } from '../context.js';
import type { IncomingStream } from './stream.js';

type Complain = (code: 'stream-failed' | 'stream-silent', detail: string) => void;

/**
 * The timers of one incoming stream, because neither TCP nor QEMU tells of a silent one (qemu-behaviour, rows B and part): until it
 * begins, while it runs, and from the loaded image to Finish.
 */
export class StreamWatch {
  readonly #context: DestinationContext;
  readonly #stream: IncomingStream;
  readonly #complain: Complain;
  #timer: Timer;
  #stopped = false;
  #loaded = false;

  constructor(context: DestinationContext, stream: IncomingStream, complain: Complain) {
    this.#context = context;
    this.#stream = stream;
    this.#complain = complain;
    const { attachMs } = context.timers;
    this.#timer = context.clock.after(attachMs, () =>
      complain('stream-silent', `the stream did not begin within ${attachMs / 1_000} s`),
    );
  }

  /** The first bytes have come. */
  streaming(): void {
    this.#watchSilence();
  }

  /** The image is complete: now Finish is waited for, and after a while the source is asked. */
  loaded(): void {
    if (this.#stopped) return;
    this.#loaded = true;
    const { stallMs } = this.#context.timers;
    this.#timer.cancel();
    this.#timer = this.#context.clock.after(stallMs, () =>
      this.#complain('stream-failed', `Finish was not asked within ${stallMs / 1_000} s after the image was loaded`),
    );
  }

  /** Part of it is no more; of a guest that has arrived that says nothing. */
  lost(detail: string): void {
    if (!this.#stopped && !this.#loaded) this.#complain('stream-failed', detail);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer.cancel();
  }

  #watchSilence(): void {
    if (this.#stopped || this.#loaded) return;
    const { stallMs } = this.#context.timers;
    this.#timer.cancel();
    this.#timer = this.#context.clock.after(Math.max(100, stallMs / 4), () => {
      this.#stream.silentMs().then(
        (silentMs) => {
          // It may have loaded while the stream was asked.
          if (this.#stopped || this.#loaded) return;
          if (silentMs !== null && silentMs >= stallMs)
            this.#complain('stream-silent', `nothing came over the stream for ${Math.round(silentMs / 1_000)} s`);
          else this.#watchSilence();
        },
        () => this.#watchSilence(),
      );
    });
  }
}
