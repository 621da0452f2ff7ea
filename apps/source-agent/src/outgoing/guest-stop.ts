import type { QmpEvent } from '@vmferry/qmp';
import type { Log } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import type { Domain } from '../domains/domain.js';
import type { OutgoingMigration } from './outgoing-migration.js';

/** From STOP to the permit, as it is when nothing is slow: tens of milliseconds. */
const permitFirstMs = 500;

interface Parts {
  readonly context: SourceContext;
  readonly domain: Domain;
  readonly machine: OutgoingMigration;
  readonly log: Log;
}

/** The moment from which the guest stands still here: when it was, that it is written down once, and how long it lasted. */
export class GuestStop {
  readonly #parts: Parts;
  #stoppedAtMs: number | null = null;
  /** The writing of paused/migration, once it is under way. */
  #paused: Promise<void> | null = null;
  #unfollow: () => void = () => undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Listens for STOP as long as the migration has the guest in hand, and no longer. */
  follow(): void {
    const { guest } = this.#parts.domain;
    guest?.qmp.on('STOP', this.#onStop);
    this.#unfollow = () => guest?.qmp.off('STOP', this.#onStop);
  }

  unfollow(): void {
    this.#unfollow();
  }

  /** S22: by QEMU's STOP or its `completed`, whichever is heard of, the guest is paused by its migration; it is written once. */
  markPaused(): Promise<void> {
    const { domain, log } = this.#parts;
    if (this.#paused === null && domain.guest?.alive === true && domain.state.state === 'running') {
      this.#paused = domain.setState({ state: 'paused', reason: 'migration' }).catch((error: unknown) => {
        this.#paused = null;
        log.warn('the state of the stopped guest could not be written', { error });
      });
    }
    return this.#paused ?? Promise.resolve();
  }

  /** In milliseconds, from STOP here to what was `msAgo` there, on this host's clock; null when no STOP was seen. */
  msUntil(msAgo: number): number | null {
    if (this.#stoppedAtMs === null) return null;
    return Math.max(0, Math.round(this.#parts.context.clock.monotonicMs() - msAgo - this.#stoppedAtMs));
  }

  /**
   * QEMU stops the guest by itself at the end of the transfer: the state follows its event. The permit goes first, which the guest
   * stands still for; a transfer that takes long after STOP is not waited for.
   */
  #onStop = (event: QmpEvent<'STOP'>): void => {
    const { context, machine, log } = this.#parts;
    this.#stoppedAtMs = event.receivedAtMs;
    const follow = async () => {
      await context.faults('S11');
      await machine.until(({ journal }) => journal.stage !== 'performing', AbortSignal.timeout(permitFirstMs));
      const { stage } = machine.journal;
      if (stage === 'performing' || stage === 'permitted') await this.markPaused();
    };
    follow().catch((error: unknown) => log.warn('the stop of the guest could not be followed', { error }));
  };
}
