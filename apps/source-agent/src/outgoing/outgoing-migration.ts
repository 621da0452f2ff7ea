import { Waiters } from '@vmferry/agent';
import { VmferryError } from '@vmferry/errors';
import {
  type Answer,
  begun,
  hasEnded,
  restartedSource,
  type SourceEffect,
  type SourceEvent,
  type SourceJournal,
  type SourceState,
  type SourceStep,
  stepSource,
} from '@vmferry/migration';
import type { Clock, Timer } from '@vmferry/seams';
import type { Log } from '@vmferry/service';

/** What the record was heard to say, and the lease that an aborted one gave back. */
export interface Heard {
  readonly answer: Answer | 'silent';
  readonly lease: string | null;
}

/** Everything the shell of the machine acts through. */
export interface OutgoingPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly retryMs: number;
  persist(journal: SourceJournal): Promise<void>;
  /** A fresh look at the own QEMU. */
  look(): 'alive' | 'gone';
  /** Asks QEMU to give up; its terminal status comes back as `perform-failed` or `qemu-completed`. */
  cancelQemu(): Promise<void>;
  ask(abortUnlessCommitted: boolean): Promise<Heard>;
  driveFinish(): Promise<Heard>;
  /** Ends the own QEMU and all it held here. */
  leave(): Promise<void>;
  /** Lease first, then `cont` when the guest is to run; false when it cannot be had now. */
  resume(journal: SourceJournal): Promise<boolean>;
  destroyQemu(): Promise<void>;
  acknowledge(): Promise<void>;
  /** Told after each step, with what was heard last. */
  changed(state: SourceState): void;
  /** The machine is at its end; called until it succeeds once, must bear repetition. */
  ended(state: SourceState): Promise<void>;
}

type Fresh = Parameters<typeof begun>[0];

/**
 * The shell around the source machine: one event at a time, the journal is written before anything else of a step happens, and
 * what an effect brings about comes back as an event. An event whose journal cannot be written is brought again (rule 7): the
 * step did not happen, and nothing later overtakes it silently.
 */
export class OutgoingMigration {
  readonly #ports: OutgoingPorts;
  #state: SourceState;
  #turn: Promise<void> = Promise.resolve();
  #retry: Timer | null = null;
  #ending = false;
  #tidied = false;
  readonly #waiters = new Waiters();

  private constructor(state: SourceState, ports: OutgoingPorts) {
    this.#state = state;
    this.#ports = ports;
  }

  /** For a Begin whose journal was just written. */
  static begin(fresh: Fresh, ports: OutgoingPorts): OutgoingMigration {
    return new OutgoingMigration(begun(fresh), ports);
  }

  /** After a restart of the agent; `recover` goes on from what the journal says. */
  static restore(journal: SourceJournal, qemu: 'alive' | 'gone', ports: OutgoingPorts): OutgoingMigration {
    return new OutgoingMigration({ journal, qemu, cancelWanted: false, answer: null }, ports);
  }

  /** A journal that cannot be written now is tried again: the agent has to serve its other guests meanwhile. */
  async recover(): Promise<void> {
    try {
      await this.#inTurn(() => restartedSource(this.#state.journal, this.#state.qemu));
    } catch (error) {
      this.#ports.log.error('the recovery waits for the journal', { error });
      this.#ports.clock.after(this.#ports.retryMs, () => void this.recover());
    }
  }

  get state(): SourceState {
    return this.#state;
  }

  get journal(): SourceJournal {
    return this.#state.journal;
  }

  /**
   * Takes one event. Rejects with `state-unwritable` when its step could not be journalled; the event is then brought again, unless
   * it is a command whose giver learns of the failure and decides anew.
   */
  async dispatch(event: SourceEvent): Promise<void> {
    try {
      await this.#inTurn(() => stepSource(this.#state, event));
    } catch (thrown) {
      const again = event.t !== 'perform' && event.t !== 'destroy';
      this.#ports.log.error('the journal cannot be written', { event: event.t, again, error: thrown });
      if (again) this.#ports.clock.after(this.#ports.retryMs, () => this.#bringAgain(event));
      throw VmferryError.from(thrown, 'state-unwritable');
    }
  }

  /** QEMU may have ended since the event was true: that is told first, or the last copy could be given up for a dead one (I2). */
  #bringAgain(event: SourceEvent): void {
    const again = async () => {
      if (this.#ports.look() === 'gone') await this.dispatch({ t: 'qemu-gone' });
      await this.dispatch(event);
    };
    // A journal that still cannot be written is logged, and the event brought again, by dispatch itself.
    again().catch(() => undefined);
  }

  /** Resolves when `settled` holds, or the signal aborts. */
  until(settled: (state: SourceState) => boolean, signal: AbortSignal): Promise<void> {
    return this.#waiters.until(() => settled(this.#state), signal);
  }

  /** Resolves when everything that follows the end is done, or the signal aborts. */
  async whenEnded(signal: AbortSignal): Promise<void> {
    await this.#waiters.until(() => this.#tidied, signal);
  }

  #inTurn(step: () => SourceStep): Promise<void> {
    const taken = this.#turn.then(() => this.#enter(step));
    this.#turn = taken.catch(() => undefined);
    return taken;
  }

  async #enter(step: () => SourceStep): Promise<void> {
    const { state, effects } = step();
    if (state.journal !== this.#state.journal) await this.#ports.persist(state.journal);
    this.#state = state;
    for (const effect of effects) this.#carryOut(effect);
    if (hasEnded(state.journal) && !this.#ending) {
      this.#ending = true;
      this.#retry?.cancel();
      void this.#end(state);
    }
    this.#ports.changed(state);
    this.#waiters.wake();
  }

  /** Tried until it is done: a write that fails would leave the domain in hand, and its job, for good. */
  async #end(state: SourceState): Promise<void> {
    this.#retry?.cancel();
    try {
      await this.#ports.ended(state);
      this.#tidied = true;
      this.#waiters.wake();
    } catch (error) {
      this.#ports.log.error('the end of the migration could not be tidied; it is tried again', { error });
      this.#ports.clock.after(this.#ports.retryMs, () => void this.#end(state));
    }
  }

  /** Starts an effect; one that throws is begun again after a while, as long as the migration has not ended without it. */
  #carryOut(effect: SourceEffect): void {
    this.#outcomeOf(effect).then(
      (event) => {
        // A step that cannot be journalled is logged and brought again by dispatch itself.
        if (event !== null) this.dispatch(event).catch(() => undefined);
      },
      (error: unknown) => {
        this.#ports.log.error('an effect failed', { effect: effect.t, error });
        this.#ports.clock.after(this.#ports.retryMs, () => {
          if (!hasEnded(this.#state.journal)) this.#carryOut(effect);
        });
      },
    );
  }

  async #outcomeOf(effect: SourceEffect): Promise<SourceEvent | null> {
    const ports = this.#ports;
    switch (effect.t) {
      case 'cancel-qemu':
        await ports.cancelQemu();
        return null;
      case 'ask':
        return { t: 'answer', ...(await ports.ask(effect.abortUnlessCommitted)) };
      case 'drive-finish':
        return { t: 'answer', ...(await ports.driveFinish()) };
      case 'leave':
        await ports.leave();
        return { t: 'cleaned' };
      case 'resume':
        return { t: (await ports.resume(this.#state.journal)) ? 'resumed' : 'resume-failed' };
      case 'destroy-qemu':
        await ports.destroyQemu();
        return null;
      case 'acknowledge':
        await ports.acknowledge();
        return null;
      case 'retry-later':
        this.#retry?.cancel();
        this.#retry = ports.clock.after(ports.retryMs, () => void this.dispatch({ t: 'retry' }).catch(() => undefined));
        return null;
      default:
        return effect satisfies never;
    }
  }
}
