import type { Clock, Timer } from '@vmferry/seams';
import type { Publication, Subscribable } from './publisher.js';

/** Where an SSE client's text goes: an HTTP response, or a test's buffer. */
export interface SseSink {
  /** Bytes that were written and not yet taken by the client. */
  readonly writableLength: number;
  write(text: string): void;
  end(): void;
  destroy(): void;
}

const progressIntervalMs = 500;
const heartbeatMs = 15_000;
const bufferBytesMax = 262_144;
const dropAfterMs = 1_000;

/**
 * One reader of a publisher (api-conventions, SSE): a `snapshot` first, or what it missed behind Last-Event-ID; progress at most
 * twice a second; a comment every 15 s; a reader that does not keep up is sent `overflow` and dropped.
 */
export class SseClient<T> {
  readonly #publisher: Subscribable<T>;
  readonly #sink: SseSink;
  readonly #clock: Clock;
  readonly #unsubscribe: () => void;
  #heartbeat: Timer;
  #pendingProgress: { readonly timer: Timer; latest: Publication<T> } | undefined;
  #lastProgressMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(
    publisher: Subscribable<T>,
    sink: SseSink,
    options: { readonly clock: Clock; readonly lastEventId: number | undefined },
  ) {
    this.#publisher = publisher;
    this.#sink = sink;
    this.#clock = options.clock;
    this.#unsubscribe = publisher.subscribe((publication) => this.#tell(publication));
    this.#heartbeat = this.#clock.after(heartbeatMs, () => this.#beat());
    this.#open(options.lastEventId);
  }

  /** Ends the stream, as a drain does; the client may come back with its Last-Event-ID. */
  close(): void {
    if (this.#closed) return;
    this.#release();
    this.#sink.end();
  }

  #open(lastEventId: number | undefined): void {
    this.#sink.write('retry: 3000\n\n');
    const missed = lastEventId === undefined ? null : this.#publisher.since(lastEventId);
    if (missed === null) {
      const { value, generation, event } = this.#publisher.current;
      this.#write({ event: 'snapshot', value, generation });
      if (event === 'done') this.#tell(this.#publisher.current);
      return;
    }
    for (const publication of missed) this.#tell(publication);
    const { current } = this.#publisher;
    if (current.event === 'progress' && current.generation > (lastEventId ?? 0)) this.#tell(current);
    if (this.#publisher.ended) this.close();
  }

  #tell(publication: Publication<T>): void {
    if (this.#closed) return;
    if (publication.event === 'progress') {
      this.#tellProgress(publication);
      return;
    }
    // The change that is told now holds everything that the waiting progress would have said.
    this.#dropProgress();
    this.#write(publication);
    if (publication.event === 'done') this.close();
  }

  #tellProgress(publication: Publication<T>): void {
    if (this.#pendingProgress !== undefined) {
      this.#pendingProgress.latest = publication;
      return;
    }
    const waitMs = this.#lastProgressMs + progressIntervalMs - this.#clock.monotonicMs();
    if (waitMs <= 0) {
      this.#lastProgressMs = this.#clock.monotonicMs();
      this.#write(publication);
      return;
    }
    const timer = this.#clock.after(waitMs, () => {
      const latest = this.#pendingProgress?.latest;
      this.#pendingProgress = undefined;
      this.#lastProgressMs = this.#clock.monotonicMs();
      if (latest !== undefined) this.#write(latest);
    });
    this.#pendingProgress = { timer, latest: publication };
  }

  #write(publication: Publication<T>): void {
    if (this.#closed) return;
    if (this.#sink.writableLength > bufferBytesMax) {
      this.#overflow();
      return;
    }
    const data = JSON.stringify(publication.value);
    this.#sink.write(`event: ${publication.event}\nid: ${publication.generation}\ndata: ${data}\n\n`);
  }

  #overflow(): void {
    this.#sink.write('event: overflow\ndata: {}\n\n');
    this.close();
    this.#clock.after(dropAfterMs, () => this.#sink.destroy());
  }

  #beat(): void {
    this.#sink.write(': still here\n\n');
    this.#heartbeat = this.#clock.after(heartbeatMs, () => this.#beat());
  }

  #dropProgress(): void {
    this.#pendingProgress?.timer.cancel();
    this.#pendingProgress = undefined;
  }

  #release(): void {
    this.#closed = true;
    this.#unsubscribe();
    this.#heartbeat.cancel();
    this.#dropProgress();
  }
}
