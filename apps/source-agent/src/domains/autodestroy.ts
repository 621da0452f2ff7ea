import type { SourceContext } from '../context.js';
import type { Domain } from './domain.js';

/** Who asks for autodestroy, and with which of his control sessions. */
export interface AutodestroyWish {
  readonly session: string;
  readonly principal: string;
}

type Tied = Pick<Domain, 'name' | 'guest' | 'jobs' | 'tie' | 'end'>;

/**
 * Ties guests to control sessions (libvirt-protocol, A6): when the session is lost or deleted, the guests that were started with it
 * are destroyed, and no others (S17, S19). It is kept in memory alone: after a restart of the agent the guests live on.
 */
export class Autodestroy {
  readonly #context: Pick<SourceContext, 'sessions' | 'log' | 'clock' | 'retryMs'>;

  constructor(context: Pick<SourceContext, 'sessions' | 'log' | 'clock' | 'retryMs'>) {
    this.#context = context;
  }

  /** Throws `session-not-found`, also for somebody else's session, so that nobody starts a guest that nothing would end. */
  require({ session, principal }: AutodestroyWish): void {
    this.#context.sessions.read(principal, session);
  }

  /** For a guest that was just started. Throws `session-not-found` when the session was lost while QEMU started. */
  tie(domain: Tied, { session }: AutodestroyWish): void {
    const { guest } = domain;
    const untie = this.#context.sessions.attach(session, (end) => {
      this.#context.log.warn('the control session of a guest ended', { domain: domain.name, session, end });
      this.#destroyUntilGone(domain, guest);
    });
    domain.tie(untie);
  }

  #destroyUntilGone(domain: Tied, guest: Tied['guest']): void {
    const { log, clock, retryMs } = this.#context;
    this.#destroy(domain, guest).catch((error: unknown) => {
      log.error('a guest could not be destroyed with its session yet', { domain: domain.name, error });
      clock.after(retryMs, () => this.#destroyUntilGone(domain, guest));
    });
  }

  /** The async job that holds it is discarded first, or the guest could not be destroyed before the job has ended. */
  async #destroy(domain: Tied, guest: Tied['guest']): Promise<void> {
    // One that is gone meanwhile is tolerated; another guest of this domain is not of this session.
    if (domain.guest !== guest) return;
    await domain.jobs.discardAsync();
    const release = await domain.jobs.begin('destroy', 'autodestroy');
    try {
      if (domain.guest === guest) await domain.end({ state: 'shutoff', reason: 'destroyed' }, 'destroyed');
    } finally {
      await release();
    }
  }
}
