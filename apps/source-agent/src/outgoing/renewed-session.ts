import type { DestinationAgentClient } from '@vmferry/client';
import type { Clock, Timer } from '@vmferry/seams';
import type { Log } from '@vmferry/service';

/** A control session at the destination that lives as long as this agent drives a migration: asked for at once, renewed every third of its TTL. */
export class RenewedSession {
  readonly #clock: Clock;
  readonly #destination: DestinationAgentClient;
  readonly #ttlSeconds: number;
  readonly #log: Log;
  /** Its id; rejects when the destination makes none. */
  readonly opened: Promise<string>;
  #ended = false;
  #timer: Timer | null = null;

  constructor(clock: Clock, destination: DestinationAgentClient, ttlSeconds: number, log: Log) {
    this.#clock = clock;
    this.#destination = destination;
    this.#ttlSeconds = ttlSeconds;
    this.#log = log;
    this.opened = this.#open();
    // Whoever needs the session meets the failure there.
    this.opened.catch(() => undefined);
  }

  /** Idempotent. */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#timer?.cancel();
    // A session that was not made needs no end, and one that cannot be ended ends by itself.
    await this.opened.then((id) => this.#destination.endSession(id)).catch(() => undefined);
  }

  async #open(): Promise<string> {
    const { id } = await this.#destination.createSession({ ttlSeconds: this.#ttlSeconds });
    if (!this.#ended) this.#schedule(id);
    return id;
  }

  #schedule(id: string): void {
    this.#timer = this.#clock.after((this.#ttlSeconds * 1_000) / 3, () => {
      if (this.#ended) return;
      this.#destination
        .renewSession(id)
        .catch((error: unknown) => this.#log.warn('the control session could not be renewed', { error }));
      this.#schedule(id);
    });
  }
}
