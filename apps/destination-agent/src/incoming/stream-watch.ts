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
  /** When the stream was last known to be no more silent than it may be. */
  #heardAtMs = 0;

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
    this.#heardAtMs = this.#context.clock.monotonicMs();
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
      this.#look(stallMs);
    });
  }

  /** Whoever does not answer how silent the stream is, as a relay that stands still, is waited for as long as the stream itself. */
  #look(stallMs: number): void {
    const { clock } = this.#context;
    const unheardMs = () => clock.monotonicMs() - this.#heardAtMs;
    const late = clock.after(Math.max(0, stallMs - unheardMs()), () => judge(null));
    const judge = (silentMs: number | null) => {
      late.cancel();
      // It may have loaded while the stream was asked.
      if (this.#stopped || this.#loaded || isJudged) return;
      isJudged = true;
      if (silentMs !== null) this.#heardAtMs = clock.monotonicMs() - Math.min(silentMs, stallMs);
      if (unheardMs() < stallMs) return this.#watchSilence();
      const what = silentMs === null ? 'nobody could tell of the stream' : 'nothing came over the stream';
      this.#complain('stream-silent', `${what} for ${Math.round(Math.max(silentMs ?? 0, unheardMs()) / 1_000)} s`);
    };
    let isJudged = false;
    this.#stream.silentMs().then(
      (silentMs) => judge(silentMs ?? 0),
      () => judge(null),
    );
  }
}
