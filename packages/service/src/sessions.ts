import type { SessionResource } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import type { Clock, Random, Timer } from '@vmferry/seams';

export type SessionEnd = 'expired' | 'ended';

interface Session {
  readonly id: string;
  readonly owner: string;
  readonly ttlSeconds: number;
  readonly listeners: Set<(end: SessionEnd) => void>;
  expiresAtMs: number;
  timer: Timer;
}

const sessionsMax = 1_000;

/**
 * Control sessions stand in for libvirt's connection: what libvirt ends when a connection closes ends here when a session is not
 * renewed within its TTL, or is deleted (handover-and-faults, Control sessions). They are volatile: after a restart of the agent a
 * session is unknown, which is as good as lost. Measured on the monotonic clock, so a process that was frozen finds them expired.
 */
export class ControlSessions {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #ttlSecondsDefault: number;
  readonly #sessions = new Map<string, Session>();

  constructor(options: { readonly clock: Clock; readonly random: Random; readonly ttlSecondsDefault?: number }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#ttlSecondsDefault = options.ttlSecondsDefault ?? 15;
  }

  /** A new session of `owner`. Throws 'too-many-requests' at 1,000 sessions. */
  create(owner: string, ttlSeconds: number = this.#ttlSecondsDefault): SessionResource {
    if (this.#sessions.size >= sessionsMax) {
      throw new VmferryError('too-many-requests', `There are ${sessionsMax} control sessions already; end some.`);
    }
    const id = this.#random.uuid();
    const session: Session = {
      id,
      owner,
      ttlSeconds,
      listeners: new Set(),
      expiresAtMs: this.#clock.monotonicMs() + ttlSeconds * 1_000,
      timer: this.#clock.after(ttlSeconds * 1_000, () => this.#lose(id, 'expired')),
    };
    this.#sessions.set(id, session);
    return this.#describe(session);
  }

  /** Starts the TTL anew. Throws 'session-not-found' also for another owner's session. */
  renew(owner: string, id: string): SessionResource {
    const session = this.#of(owner, id);
    session.timer.cancel();
    session.expiresAtMs = this.#clock.monotonicMs() + session.ttlSeconds * 1_000;
    session.timer = this.#clock.after(session.ttlSeconds * 1_000, () => this.#lose(id, 'expired'));
    return this.#describe(session);
  }

  read(owner: string, id: string): SessionResource {
    return this.#describe(this.#of(owner, id));
  }

  /** Ends a session at once, with all that is tied to it. */
  end(owner: string, id: string): void {
    this.#lose(this.#of(owner, id).id, 'ended');
  }

  /**
   * Ties something to a session: `onLost` is called once when it is lost, until the returned function unties it. Throws
   * 'session-not-found' when it is lost already, so that nothing is tied to a session that cannot end.
   */
  attach(id: string, onLost: (end: SessionEnd) => void): () => void {
    const session = this.#living(id);
    session.listeners.add(onLost);
    return () => session.listeners.delete(onLost);
  }

  /** Throws 'session-not-found' unless the session lives: for a step that checks all it was given before it does anything. */
  require(id: string): void {
    this.#living(id);
  }

  #of(owner: string, id: string): Session {
    const session = this.#living(id);
    if (session.owner !== owner) throw notFound(id);
    return session;
  }

  #living(id: string): Session {
    const session = this.#sessions.get(id);
    if (session === undefined) throw notFound(id);
    if (this.#clock.monotonicMs() < session.expiresAtMs) return session;
    // The timer may be late, after a freeze for one; the deadline is what counts.
    this.#lose(id, 'expired');
    throw notFound(id);
  }

  #lose(id: string, end: SessionEnd): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    this.#sessions.delete(id);
    session.timer.cancel();
    for (const onLost of [...session.listeners]) onLost(end);
  }

  #describe(session: Session): SessionResource {
    const leftMs = session.expiresAtMs - this.#clock.monotonicMs();
    const expiresAt = new Date(this.#clock.wall().getTime() + leftMs).toISOString();
    return { id: session.id, ttlSeconds: session.ttlSeconds, expiresAt };
  }
}

function notFound(id: string): VmferryError {
  return new VmferryError(
    'session-not-found',
    `There is no control session ${id}; it expired, was ended, or the agent was restarted.`,
  );
}
