import type { Clock, Timer } from '@vmferry/seams';
import type { Publication, Subscribable } from './publisher.js';

/** Where an SSE client's text goes: an HTTP response, or a test's buffer. */
export interface SseSink {
  /** Bytes that were written and not yet taken by the client. */
  readonly writableLength: number;
  write(text: string): void;
  /** Calls the listener when what was written has been taken. */
  once(event: 'drain', listener: () => void): void;
  end(): void;
  destroy(): void;
}

const progressIntervalMs = 500;
const heartbeatMs = 15_000;
const bufferBytesMax = 262_144;
const backlogMax = 20_000;
const dropAfterMs = 1_000;

/**
 * One reader of a publisher (api-conventions, SSE): first the publisher's opening, or what it missed behind Last-Event-ID, as fast as it
 * reads; progress at most twice a second; a comment every 15 s; a reader that does not keep up is sent `overflow` and dropped.
 */
export class SseClient<T> {
  readonly #publisher: Subscribable<T>;
  readonly #sink: SseSink;
  readonly #clock: Clock;
  readonly #unsubscribe: () => void;
  #heartbeat: Timer;
  #pendingProgress: { readonly timer: Timer; latest: Publication<T> } | undefined;
  #lastProgressMs = Number.NEGATIVE_INFINITY;
  /** What is still to be told to a reader that is catching up; what is published meanwhile comes behind it. */
  #backlog: Publication<T>[] = [];
  #closed = false;

  constructor(
    publisher: Subscribable<T>,
    sink: SseSink,
    options: { readonly clock: Clock; readonly lastEventId: number | undefined },
  ) {
    this.#publisher = publisher;
    this.#sink = sink;
    this.#clock = options.clock;
    this.#unsubscribe = publisher.subscribe((publication) => this.#hear(publication));
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
    this.#backlog = [...this.#publisher.opening(lastEventId)];
    // Whoever is told nothing yet is told where it stands, so that it can come back behind it.
    if (lastEventId === undefined && this.#backlog.length === 0) this.#sink.write(`id: ${this.#publisher.generation}\n\n`);
    this.#catchUp();
  }

  #catchUp(): void {
    let told = 0;
    while (told < this.#backlog.length && this.#sink.writableLength <= bufferBytesMax) {
      const next = this.#backlog[told];
      told += 1;
      if (next !== undefined) this.#tell(next);
    }
    this.#backlog = this.#backlog.slice(told);
    if (this.#closed) return;
    if (this.#backlog.length > 0) this.#sink.once('drain', () => this.#catchUp());
    else if (this.#publisher.ended) this.close();
  }

  #hear(publication: Publication<T>): void {
    if (this.#backlog.length === 0) this.#tell(publication);
    else if (this.#backlog.length < backlogMax) this.#backlog.push(publication);
    else this.#overflow();
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
    if (this.#closed) return;
    this.#sink.write('event: overflow\ndata: {}\n\n');
    this.close();
    this.#clock.after(dropAfterMs, () => this.#sink.destroy());
  }

  #beat(): void {
    // Whoever catches up has to read too.
    if (this.#sink.writableLength > bufferBytesMax) {
      this.#overflow();
      return;
    }
    this.#sink.write(': still here\n\n');
    this.#heartbeat = this.#clock.after(heartbeatMs, () => this.#beat());
  }

  #dropProgress(): void {
    this.#pendingProgress?.timer.cancel();
    this.#pendingProgress = undefined;
  }

  #release(): void {
    this.#closed = true;
    this.#backlog = [];
    this.#unsubscribe();
    this.#heartbeat.cancel();
    this.#dropProgress();
  }
}
