import { Waiters } from '@vmferry/agent';
import { VmferryError } from '@vmferry/errors';
import {
  type Answer,
  answerOf,
  type DestinationEffect,
  type DestinationEvent,
  type DestinationState,
  type DestinationStep,
  type HeldReason,
  type IncomingQemu,
  isFinal,
  type OutcomeRecord,
  prepared,
  restarted,
  type SourceWord,
  stepDestination,
} from '@vmferry/migration';
import type { Clock, FaultPoints, Timer } from '@vmferry/seams';
import type { Log } from '@vmferry/service';

/** The QEMU of an incoming domain, as the rule needs it. */
export interface IncomingGuest {
  /** `unanswered`: nobody can tell whether QEMU took the command. */
  cont(): Promise<'ok' | 'refused' | 'unanswered'>;
  look(): Promise<IncomingQemu>;
  /** Resolves when the exit is proven. */
  kill(): Promise<void>;
}

export interface IncomingLease {
  take(): Promise<'taken' | 'refused' | 'unavailable'>;
  giveBack(): Promise<{ readonly t: 'returned'; readonly lease: string | null } | { readonly t: 'unavailable' }>;
  /** Whether the epoch, the record on disk and the agent's own lock are still what they were when the lease was taken. */
  stillMine(): Promise<boolean>;
}

/** Everything the shell of the machine acts through. */
export interface IncomingPorts {
  readonly clock: Clock;
  readonly faults: FaultPoints;
  readonly log: Log;
  readonly retryMs: number;
  persist(record: OutcomeRecord): Promise<void>;
  askSource(): Promise<SourceWord>;
  readonly guest: IncomingGuest;
  readonly lease: IncomingLease;
  /** What follows a final record: hand over, or give everything back. Called once per life, must bear repetition. */
  conclude(record: OutcomeRecord): Promise<void>;
  /** Told after each step, for the resource. */
  changed(state: DestinationState): void;
}

/**
 * The shell around the destination machine: one event at a time; the record is written before anything else of its step happens;
 * what an effect brings about comes back as an event. So the machine's activity is the mutex of handover rule 2.
 */
export class IncomingMigration {
  readonly #ports: IncomingPorts;
  #state: DestinationState;
  #turn: Promise<void> = Promise.resolve();
  #retry: Timer | null = null;
  #concluded: Promise<void> | null = null;
  /** The reason for which it was held last, and since when: trying again and being held for the same reason is no new hold. */
  #hold: { readonly reason: HeldReason; readonly since: Date } | null = null;
  readonly #waiters = new Waiters();

  /** For a Prepare whose record was just written `open`. */
  constructor(record: OutcomeRecord, ports: IncomingPorts) {
    this.#ports = ports;
    this.#state = prepared(record);
  }

  /** After a restart of the agent: looks at QEMU, and goes on from what the record says. */
  async recover(): Promise<void> {
    const qemu = await this.#ports.guest.look();
    const step = this.#turn.then(() => this.#enter(() => restarted(this.#state.record, qemu)));
    // A record that cannot be written now is held and tried again: the agent has to serve the others meanwhile.
    this.#turn = step.catch((error: unknown) => this.#ports.log.error('the recovery waits for the journal', { error }));
    await this.#turn;
  }

  get record(): OutcomeRecord {
    return this.#state.record;
  }

  get state(): DestinationState {
    return this.#state;
  }

  get answer(): Answer {
    return answerOf(this.#state.record);
  }

  /** Why it is held now, and since when it has been held for that reason. */
  get held(): { readonly reason: HeldReason; readonly since: Date } | null {
    return this.#state.activity.t === 'held' ? this.#hold : null;
  }

  /** Also while what it is held for is tried again. */
  get wasHeld(): boolean {
    return this.#hold !== null;
  }

  /** Takes one event. Rejects with `state-unwritable` when its step could not be journalled: then it did not happen (rule 7). */
  dispatch(event: DestinationEvent): Promise<void> {
    const step = this.#turn.then(() => this.#enter(() => stepDestination(this.#state, event)));
    this.#turn = step.catch(() => undefined);
    return step;
  }

  /** Looks at QEMU before the wish to abort is weighed: an image that has just been loaded is a copy (I2). */
  async wantAbort(reason: string): Promise<void> {
    await this.#look();
    await this.dispatch({ t: 'abort-wanted', reason });
  }

  /** Tells the machine what QEMU is at this moment, also what an earlier event told whose journal could not be written. */
  async #look(): Promise<void> {
    const qemu = await this.#ports.guest.look();
    if (qemu !== 'incoming') await this.dispatch({ t: `qemu-${qemu}` });
  }

  /** Resolves when `settled` holds, or the signal aborts. */
  until(settled: (migration: this) => boolean, signal: AbortSignal): Promise<void> {
    return this.#waiters.until(() => settled(this), signal);
  }

  /** A held one has an answer for whoever waits: that it is held. */
  untilDecidedOrHeld(signal: AbortSignal): Promise<void> {
    return this.until(({ record, held }) => isFinal(record) || held !== null, signal);
  }

  /** What follows the decision, when it was made. */
  concluded(): Promise<void> {
    return this.#concluded ?? Promise.resolve();
  }

  async #enter(step: () => DestinationStep): Promise<void> {
    const { state, effects } = step();
    if (state.record !== this.#state.record) {
      try {
        await this.#ports.persist(state.record);
      } catch (thrown) {
        // The decision did not happen; what was learned of QEMU, and the wish, stay true and are weighed again.
        const learned = { ...this.#state, qemu: state.qemu, abortReason: state.abortReason };
        this.#adopt(stepDestination(learned, { t: 'journal-failed' }));
        throw VmferryError.from(thrown, 'state-unwritable');
      }
    }
    this.#adopt({ state, effects });
  }

  #adopt({ state, effects }: DestinationStep): void {
    const decided = isFinal(state.record) && this.#concluded === null;
    this.#state = state;
    const { activity } = state;
    if (activity.t === 'held' && activity.reason !== this.#hold?.reason)
      this.#hold = { reason: activity.reason, since: this.#ports.clock.wall() };
    for (const effect of effects) this.#carryOut(effect);
    if (decided) this.#conclude(state.record);
    this.#ports.changed(state);
    this.#waiters.wake();
  }

  #conclude(record: OutcomeRecord): void {
    this.#concluded = this.#ports.conclude(record);
    this.#concluded.catch((error: unknown) => {
      this.#ports.log.error('what follows the decision could not be done; it is tried again', {
        decision: record.decision,
        error,
      });
      this.#ports.clock.after(this.#ports.retryMs, () => this.#conclude(record));
    });
  }

  /** Starts an effect; one that throws is begun again after a while, because a machine that waits for its answer would wait for ever. */
  #carryOut(effect: DestinationEffect): void {
    this.#outcomeOf(effect).then(
      (event) => {
        if (event === null) return;
        this.dispatch(event).catch((error: unknown) =>
          this.#ports.log.error('a step of the outcome record failed', { event: event.t, error }),
        );
      },
      (error: unknown) => {
        this.#ports.log.error('an effect failed; it is tried again', { effect: effect.t, error });
        this.#ports.clock.after(this.#ports.retryMs, () => this.#carryOut(effect));
      },
    );
  }

  async #outcomeOf(effect: DestinationEffect): Promise<DestinationEvent | null> {
    const { guest, lease, faults, clock, retryMs } = this.#ports;
    switch (effect.t) {
      case 'take-lease': {
        const answer = await lease.take();
        await faults('D14');
        return { t: `lease-${answer}` };
      }
      case 'return-lease': {
        const answer = await lease.giveBack();
        return answer.t === 'returned' ? { t: 'lease-returned', lease: answer.lease } : { t: 'lease-unavailable' };
      }
      case 'recheck':
        await faults('D15');
        return { t: 'rechecked', ok: await lease.stillMine() };
      case 'cont':
        return this.#cont();
      case 'prove':
        return this.#prove();
      case 'ask-source':
        return { t: 'source-word', word: await this.#ports.askSource() };
      case 'kill':
        await guest.kill();
        return { t: 'qemu-gone' };
      case 'retry-later':
        this.#retry?.cancel();
        this.#retry = clock.after(retryMs, () => this.#tryAgain());
        return null;
      default:
        return effect satisfies never;
    }
  }

  /** Whatever waits is weighed again, with a fresh look at QEMU; a journal that cannot be written brings the next try by itself. */
  #tryAgain(): void {
    const again = async () => {
      await this.#look();
      await this.dispatch({ t: 'retry' });
    };
    again().catch((error: unknown) => this.#ports.log.warn('the migration could not go on; it is tried again', { error }));
  }

  async #cont(): Promise<DestinationEvent | null> {
    const answer = await this.#ports.guest.cont();
    await this.#ports.faults('D16');
    switch (answer) {
      case 'refused':
        return { t: 'cont-refused' };
      case 'ok':
      case 'unanswered':
        return this.#prove();
      default:
        return answer satisfies never;
    }
  }

  /** A status that is reached only by running is proof (rule 3); an exit is told by whoever watches the process. */
  async #prove(): Promise<DestinationEvent | null> {
    switch (await this.#ports.guest.look()) {
      case 'resumed':
        await this.#ports.faults('D17');
        return { t: 'qemu-resumed' };
      case 'gone':
        return { t: 'qemu-gone' };
      case 'incoming':
      case 'silent':
      case 'loaded':
        return { t: 'cont-unproven' };
    }
  }
}
