import { VmferryError } from '@vmferry/errors';
import type { Clock, Timer } from '@vmferry/seams';
import type { SessionEnd } from './ends.js';

export interface HeldSessionOptions {
  readonly clock: Clock;
  /** Seconds; the agent's own default when it is not given. */
  readonly ttlSeconds?: number;
  /** Called once, when the agent does not know the session any more: it was lost, and the agent acts on that by itself. */
  readonly onLost: (error: VmferryError) => void;
}

/** A control session at one agent, renewed every third of its TTL until it is ended or lost (handover-and-faults, Control sessions). */
export class HeldSession {
  readonly id: string;
  readonly #end: SessionEnd;
  readonly #options: HeldSessionOptions;
  readonly #renewEveryMs: number;
  #timer: Timer;
  #renewal = new AbortController();
  #over = false;

  static async open(end: SessionEnd, options: HeldSessionOptions & { readonly signal?: AbortSignal }): Promise<HeldSession> {
    const { ttlSeconds, signal } = options;
    const session = await end.createSession(
      ttlSeconds === undefined ? {} : { ttlSeconds },
      signal === undefined ? {} : { signal },
    );
    return new HeldSession(end, session, options);
  }

  private constructor(
    end: SessionEnd,
    session: { readonly id: string; readonly ttlSeconds: number },
    options: HeldSessionOptions,
  ) {
    this.id = session.id;
    this.#end = end;
    this.#options = options;
    this.#renewEveryMs = (session.ttlSeconds * 1_000) / 3;
    this.#timer = options.clock.after(this.#renewEveryMs, () => this.#beat());
  }

  /** Ends the session at the agent at once. An agent that does not answer ends it by itself when the TTL is over. */
  async close(): Promise<void> {
    if (this.#over) return;
    this.#stop();
    await this.#end.endSession(this.id).catch(() => undefined);
  }

  /** One beat a third of the TTL, whatever became of the last one: two may be lost before the session is. */
  #beat(): void {
    this.#renewal.abort();
    this.#renewal = new AbortController();
    this.#timer = this.#options.clock.after(this.#renewEveryMs, () => this.#beat());
    this.#end.renewSession(this.id, { signal: this.#renewal.signal }).catch((thrown: unknown) => this.#failed(thrown));
  }

  #failed(thrown: unknown): void {
    if (this.#over || !VmferryError.is(thrown, 'session-not-found')) return;
    this.#stop();
    this.#options.onLost(thrown);
  }

  #stop(): void {
    this.#over = true;
    this.#timer.cancel();
    this.#renewal.abort();
  }
}
