import type { Clock } from '@vmferry/seams';

/** One published change: the whole resource as it is since. */
export interface Publication<T> {
  readonly event: string;
  readonly value: T;
  readonly generation: number;
}

/** What a reader of a publisher needs of it. */
export interface Subscribable<T> {
  /** Where a reader stands that has been told everything. */
  readonly generation: number;
  readonly ended: boolean;
  subscribe(listener: (publication: Publication<T>) => void): () => void;
  /** What a reader is told first: who comes anew, or who was told everything up to `generation`. */
  opening(generation: number | undefined): readonly Publication<T>[];
}

const historyMax = 256;

/**
 * The one place where a resource's changes are told from. Generations only grow; a long poll waits for one, an SSE client resumes
 * behind one. The last 256 changes are kept for that, `progress` excepted: a newer one replaces it.
 */
export class Publisher<T> implements Subscribable<T> {
  readonly #clock: Clock;
  readonly #listeners = new Set<(publication: Publication<T>) => void>();
  readonly #history: Publication<T>[] = [];
  #current: Publication<T>;
  /** Changes at or below this generation are no longer kept. */
  #forgotten: number;

  constructor(options: { readonly clock: Clock; readonly value: T; readonly generation: number }) {
    this.#clock = options.clock;
    this.#current = { event: 'snapshot', value: options.value, generation: options.generation };
    this.#forgotten = options.generation;
  }

  get current(): Publication<T> {
    return this.#current;
  }

  get generation(): number {
    return this.#current.generation;
  }

  get ended(): boolean {
    return this.#current.event === 'done';
  }

  /** Tells a change. `done` is the last one. A generation that does not grow is a defect of the caller and throws. */
  publish(event: 'phase' | 'progress' | 'done', value: T, generation: number): void {
    if (this.ended) throw new Error(`generation ${generation} was published after the end`);
    if (generation <= this.#current.generation) {
      throw new Error(`generation ${generation} does not follow ${this.#current.generation}`);
    }
    this.#current = { event, value, generation };
    if (event !== 'progress') this.#keep(this.#current);
    for (const listener of [...this.#listeners]) listener(this.#current);
  }

  /** Calls `listener` with every later change until the returned function is called. */
  subscribe(listener: (publication: Publication<T>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The kept changes behind `generation`, or null when they are not all known and only a snapshot can help. */
  since(generation: number): readonly Publication<T>[] | null {
    if (generation < this.#forgotten || generation > this.#current.generation) return null;
    return this.#history.filter((publication) => publication.generation > generation);
  }

  /** A snapshot, or what came behind `generation` with the progress since, as far as it is kept. */
  opening(generation: number | undefined): readonly Publication<T>[] {
    const { current } = this;
    const missed = generation === undefined ? null : this.since(generation);
    if (missed === null) {
      const snapshot = { ...current, event: 'snapshot' };
      return this.ended ? [snapshot, current] : [snapshot];
    }
    return current.event === 'progress' && current.generation > (generation ?? 0) ? [...missed, current] : missed;
  }

  /** Resolves with the resource as soon as its generation is above `generation`, or unchanged after `timeoutMs`, or when `signal` aborts. */
  waitAfter(generation: number, timeoutMs: number, signal: AbortSignal): Promise<Publication<T>> {
    if (this.#current.generation > generation || this.ended || signal.aborted) return Promise.resolve(this.#current);
    return new Promise((resolve) => {
      const finish = () => {
        timer.cancel();
        unsubscribe();
        signal.removeEventListener('abort', finish);
        resolve(this.#current);
      };
      const timer = this.#clock.after(timeoutMs, finish);
      const unsubscribe = this.subscribe((publication) => {
        if (publication.generation > generation) finish();
      });
      signal.addEventListener('abort', finish, { once: true });
    });
  }

  #keep(publication: Publication<T>): void {
    this.#history.push(publication);
    if (this.#history.length <= historyMax) return;
    this.#forgotten = this.#history.shift()?.generation ?? this.#forgotten;
  }
}
