import type { EvidenceReply, MigrationParameters, MigrationProgress, PerformReply, PerformRequest } from '@vmferry/api';
import { toProblem, VmferryError } from '@vmferry/errors';
import { type Guest, resourcesOf } from '@vmferry/guest';
import { KeptDocument } from '@vmferry/host-state';
import { clearMigrationTls, spiceClientsMoved } from '@vmferry/hypervisor';
import type { AsyncJobHandle, JobEnd } from '@vmferry/jobs';
import {
  type Answer,
  hasEnded,
  isOffline,
  isUndecided,
  keyName,
  type MigrationKey,
  type Permit,
  phaseOf,
  type SourceJournal,
  type SourceStage,
  type SourceState,
  wantsTls,
  wordOf,
} from '@vmferry/migration';
import { LiveMigration, type Log } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import { noteDeparture } from '../domains/departures.js';
import type { Domain, DomainMigration } from '../domains/domain.js';
import { FarRecord, type Resumed } from './far-record.js';
import { GuestStop } from './guest-stop.js';
import { jobProgressOf } from './job-progress.js';
import { type Moving, movingDefinition, movingGuest } from './moving.js';
import { OfflineSending } from './offline-sending.js';
import type { OutgoingJournal } from './outgoing-journal.js';
import { OutgoingMigration } from './outgoing-migration.js';
import { firstResource, resourceOf } from './outgoing-resource.js';
import type { Overdue } from './patience.js';
import { type AcceptedPerform, acceptPerform, type PerformOf, readCookie } from './perform-request.js';
import { permitCookie } from './permit-cookie.js';
import { type Sender, Sending } from './sending.js';
import { guestStillMsMax, type Stuck } from './standstill.js';
import type { TransferEnd } from './transfer.js';

/** Told when a migration is over and tidied. */
export interface OutgoingOwner {
  undefineMoved(domain: Domain): Promise<void>;
}

const rollbackWaitMs = 10_000;
/** QEMU itself gives a client 10 s. */
const spiceClientsMsMax = 12_000;

/**
 * One outgoing migration on this host: what is told to it, and what the source machine acts through (the sending of the memory, the stop
 * of the guest, the record at the destination). The decisions are the machine's.
 */
export class Outgoing implements DomainMigration {
  readonly machine: OutgoingMigration;
  readonly live: LiveMigration;
  readonly log: Log;
  readonly domain: Domain;
  readonly #context: SourceContext;
  readonly #owner: OutgoingOwner;
  readonly #journal: KeptDocument<OutgoingJournal>;
  readonly #record: FarRecord;
  readonly #stop: GuestStop;
  readonly #sending: Sender;
  readonly #moving: Moving;
  #downtimeMs: number | null = null;
  #announcedMs: number | null = null;
  #untieSession: () => void = () => undefined;
  #error: VmferryError | null = null;
  /** Why this agent itself has asked for the end of the transfer. */
  #gaveUp: VmferryError | null = null;
  #lookingAtRecord = false;
  #acknowledged: Promise<void> = Promise.resolve();
  /** The job of the domain as it was when this migration ended. */
  #job: { readonly handle: AsyncJobHandle | null } | null = null;

  constructor(context: SourceContext, domain: Domain, journal: OutgoingJournal, owner: OutgoingOwner, restored: boolean) {
    this.#context = context;
    this.domain = domain;
    this.#journal = new KeptDocument(context.journals, keyName(journal.machine.key), journal);
    this.#owner = owner;
    this.log = context.log.child({ migrationId: journal.machine.key.id, side: 'source' });
    this.live = new LiveMigration(context.clock, firstResource(context, journal));
    const offline = isOffline(journal.flags);
    this.#moving = offline ? movingDefinition(context, domain) : movingGuest(context, domain, this.log);
    const ports = {
      clock: context.clock,
      log: this.log,
      retryMs: context.retryMs,
      persist: (machine: SourceJournal) => this.#persist(machine),
      look: () => this.#moving.look(),
      cancelQemu: () => this.#sending.cancel(),
      ask: (abortUnlessCommitted: boolean) => this.#record.ask(abortUnlessCommitted),
      driveFinish: () => this.#record.driveFinish(),
      leave: () => this.#leave(),
      resume: (machine: SourceJournal) => this.#moving.goOn(machine),
      destroyQemu: () => domain.end({ state: 'shutoff', reason: 'destroyed' }, 'destroyed'),
      acknowledge: () => {
        this.#acknowledged = this.#record.acknowledge();
        return this.#acknowledged;
      },
      changed: (state: SourceState) => {
        if (state.journal.stage === 'permitted') void this.#stop.markPaused();
        this.#tell(state);
      },
      ended: (state: SourceState) => this.#end(state),
    };
    const { key, permit, resumeOnRollback } = journal.machine;
    this.machine = restored
      ? OutgoingMigration.restore(journal.machine, this.#moving.look(), ports)
      : OutgoingMigration.begin({ key, permit, resumeOnRollback }, ports);
    const parts = { context, domain, log: this.log, journal: this.#journal, machine: this.machine };
    this.#record = new FarRecord({ ...parts, onResumed: (reply) => this.noteResumed(reply) });
    this.#stop = new GuestStop(parts);
    const sent = { ...parts, record: this.#record, cancelWanted: () => this.machine.state.cancelWanted };
    if (offline) {
      this.#sending = new OfflineSending({
        ...sent,
        refuseUnlessMine: () => this.#moving.refuseUnlessMine(),
        onCancelled: () => this.#tellFailure(),
      });
      return;
    }
    this.#sending = new Sending({
      ...sent,
      onProgress: (progress) => this.#report(progress),
      onOverdue: (overdue) => this.#overdue(overdue),
      onStuck: (stuck) => this.#stuck(stuck),
      onEndOfFollowed: (end) => this.#endFollowed(end),
    });
  }

  get id(): string {
    return this.#journal.value.machine.key.id;
  }

  get movesDefinition(): boolean {
    return isOffline(this.#journal.value.flags) && !hasEnded(this.machine.journal);
  }

  get key(): MigrationKey {
    return this.#journal.value.machine.key;
  }

  get journal(): OutgoingJournal {
    return this.#journal.value;
  }

  /** Its resource is not told of any more; its word to the hold rule is kept (handover rule, "Around it"). */
  async forget(): Promise<void> {
    await this.#journal.write({ forgotten: true });
  }

  /** Writes the journal of Begin, before its cookie is given away. When that fails, nothing of the migration stays. */
  async open(): Promise<void> {
    try {
      await this.#journal.write({});
      await this.#moving.mark(this.key);
      await this.#context.faults('S1');
    } catch (thrown) {
      this.#untieSession();
      const error = VmferryError.from(thrown);
      await this.#withdraw().catch((later: unknown) => error.suppress(later, this.#context.clock.wall()));
      throw error;
    }
    this.#stop.follow();
  }

  /** The status document first: a guest whose migration has no journal any more would not be run. */
  async #withdraw(): Promise<void> {
    const { guest } = this.domain;
    if (guest !== null && guest.status.migration !== null) await guest.update({ migration: null });
    await this.#moving.unmark(this.key);
    await this.#journal.remove();
  }

  /** Ties this migration to a control session of its driver. Throws `session-not-found`. */
  tie(session: string): void {
    this.#untieSession = this.#context.sessions.attach(session, () => {
      this.log.warn('the control session of the migration ended');
      this.noteError(
        new VmferryError('session-lost', `The control session of migration ${this.id} ended before the migration did.`, {
          side: 'source',
        }),
      );
      void this.machine.dispatch({ t: 'cancel' }).catch(() => undefined);
    });
  }

  /** Keeps the first error (I8); the later ones beside it. */
  noteError(error: VmferryError): void {
    if (this.#error === null) this.#error = error;
    else if (this.#error !== error) this.#error.suppress(error, this.#context.clock.wall());
  }

  /** Reads and checks Perform in full, before any side effect. */
  acceptPerform(body: PerformRequest): AcceptedPerform {
    const accepted = acceptPerform(this.#context, this.#performOf, body);
    this.refuseUnless('begun');
    return accepted;
  }

  get #performOf(): PerformOf {
    const { protocol, flags, parallelConnections: channels } = this.#journal.value;
    return { domain: this.domain, key: this.key, protocol, offline: isOffline(flags), channels };
  }

  /** Finish's cookie, in Confirm: it decides nothing, but one of another migration is a mistake worth telling. */
  checkFinishCookie(cookie: string): void {
    if (cookie !== '') readCookie(this.#context, this.#performOf, cookie);
  }

  /** Perform: the stream from its opening to QEMU's terminal status. Resolves with the permit only when that is `completed`. */
  async perform(accepted: AcceptedPerform): Promise<PerformReply> {
    const { url, storeId } = accepted.peer;
    this.live.enter('perform', 'source');
    if (accepted.display !== null) await this.#journal.write({ display: displayOf(accepted.display) });
    await this.machine.dispatch({ t: 'perform', destination: { url, storeId } });
    this.refuseUnless('performing');
    await this.#context.faults('S6');
    let end: TransferEnd;
    try {
      end = await this.#sending.send(accepted);
    } catch (thrown) {
      throw await this.#failPerform(VmferryError.from(thrown));
    }
    if (end.t !== 'completed') throw await this.#failPerform(this.#errorOf(end));
    try {
      await this.#context.faults('S12');
      await this.#offerLease();
    } catch (thrown) {
      // QEMU has completed all the same, and nobody will say it again: the record is asked, and the guest comes back by it.
      this.noteError(VmferryError.from(thrown).at({ side: 'source', phase: 'perform' }));
      await this.machine.dispatch({ t: 'cancel' });
      await this.machine.dispatch({ t: 'qemu-completed' });
      throw thrown;
    }
    await this.machine.dispatch({ t: 'qemu-completed' });
    await this.#context.faults('S14');
    this.refuseUnless('permitted');
    return { cookie: permitCookie(this.#context.host, this.#journal.value) };
  }

  /**
   * Confirm is a request to read the record and to act on it, whatever flag it came with (rule 6). `committed`: this agent has
   * read it already, in the destination's own answer to the Finish that carried the permit.
   */
  async confirm(signal: AbortSignal, committed: boolean): Promise<void> {
    if (committed && this.machine.journal.stage === 'permitted') {
      await this.#context.faults('S18');
      await this.machine.dispatch({ t: 'answer', answer: 'committed', lease: null });
    } else await this.machine.dispatch({ t: 'confirm' });
    await this.machine.whenEnded(signal);
  }

  /**
   * Protocol v2 has no Confirm: from the permit on the record is read until it says something final. Whoever has a reason to end the
   * migration asks with the hint to abort, as ever; this reading gives none.
   */
  watchRecord(): void {
    this.#context.clock.after(this.#context.retryMs, () => {
      this.#readRecord().catch((error: unknown) => this.log.error('the record could not be read', { error }));
    });
  }

  async #readRecord(): Promise<void> {
    if (this.machine.journal.stage !== 'permitted') return;
    const heard = await this.#record.ask(false);
    // A step that cannot be journalled is logged and brought again by dispatch itself.
    await this.machine.dispatch({ t: 'read', ...heard }).catch(() => undefined);
    if (isUndecided(heard.answer)) this.watchRecord();
  }

  /** The permit, as long as the record waits for it: not before it is journalled, and not once a decision was read. */
  permit(): Permit | null {
    const { stage, permit } = this.machine.journal;
    return stage === 'permitted' ? permit : null;
  }

  /** A migration that has ended stays as it ended; cancelling it again is no error. Throws `past-point-of-no-return` for one that has committed. */
  async cancel(by: string): Promise<void> {
    const { stage } = this.machine.journal;
    if (stage === 'leaving' || stage === 'left') {
      throw new VmferryError(
        'past-point-of-no-return',
        `The migration ${this.id} has committed: the domain is the destination's.`,
      );
    }
    if (hasEnded(this.machine.journal)) return;
    if (this.#journal.value.cancelRequested === null) {
      await this.#journal.write({ cancelRequested: { at: this.#context.clock.wall().toISOString(), by } });
    }
    this.#tell(this.machine.state);
    await this.machine.dispatch({ t: 'cancel' });
  }

  /** Changes the limits while it runs; they are kept for a Perform that is still to come. */
  async steer(parameters: MigrationParameters): Promise<void> {
    if (isOffline(this.#journal.value.flags)) return this.#sending.steer(parameters);
    const { bandwidthMibPerSec, downtimeMsMax } = parameters;
    const timeouts = { ...this.#journal.value.timeouts, ...parameters.timeouts };
    const bandwidthBytesPerSec =
      bandwidthMibPerSec === undefined ? this.#journal.value.bandwidthBytesPerSec : bandwidthMibPerSec * 1_048_576;
    await this.#journal.write({
      bandwidthBytesPerSec,
      downtimeMsMax: downtimeMsMax ?? this.#journal.value.downtimeMsMax,
      timeouts,
    });
    await this.#sending.steer(parameters);
    this.#tell(this.machine.state);
  }

  /**
   * Stops the guest, so that the rest of its memory goes over. A rollback runs it again: that is in Begin's journal. Only while memory
   * is being sent: before, there is nothing to complete, and after it the record decides. Throws `not-migrating`.
   */
  async forceComplete(by: string): Promise<void> {
    const { stage } = this.machine.journal;
    if (!this.#sending.begun || stage !== 'performing') {
      throw new VmferryError(
        'not-migrating',
        `The migration ${this.id} is ${stage}: no memory is being sent that could be completed.`,
      );
    }
    if (this.#journal.value.forceComplete === null) {
      const requestedAt = this.#context.clock.wall().toISOString();
      await this.#journal.write({ forceComplete: { strategy: 'pause', requestedAt, requestedBy: by } });
    }
    await this.#sending.pause();
    this.#tell(this.machine.state);
  }

  /** A time of the migration is over; QEMU has not completed as far as is known, and the source decides alone. */
  async #overdue({ action, what, seconds }: Overdue): Promise<void> {
    const reason = what === 'total' ? `not completed after ${seconds} s` : `without progress for ${seconds} s`;
    this.log.warn('the time of the migration is over', { action, reason });
    if (action === 'pause') return this.forceComplete(`timeout: ${reason}`);
    const detail = `The migration of domain ${this.domain.name} was ${reason} and is cancelled; the guest runs on, on ${this.#context.host.hostName}.`;
    await this.#giveUp(new VmferryError('migration-timeout', detail));
  }

  /**
   * Nothing moves any more. QEMU has not completed and no permit was given, so that the source decides alone (handover rule 1): it gives up when the destination has,
   * of which a connection that has fallen silent tells nothing, and when its guest has stood still for too long.
   */
  #stuck({ ms, guestStopped }: Stuck): void {
    const { name } = this.domain;
    if (guestStopped && ms >= guestStillMsMax) {
      const detail = `Nothing of domain ${name} was sent for ${Math.round(ms / 1_000)} s while its guest stood still for the switch-over: the other end does not answer, and the guest runs on, on ${this.#context.host.hostName}.`;
      this.#giveUpInBackground(new VmferryError('migration-timeout', detail));
      return;
    }
    if (this.#lookingAtRecord) return;
    this.#lookingAtRecord = true;
    void this.#record
      .look()
      .then(({ answer, reason }) => {
        if (answer !== 'aborted') return;
        const detail = `The destination has given the migration of domain ${name} up: ${reason ?? 'it says not why'}. The guest runs on, on ${this.#context.host.hostName}.`;
        this.#giveUpInBackground(new VmferryError('migration-failed', detail));
      })
      .finally(() => {
        this.#lookingAtRecord = false;
      });
  }

  #giveUpInBackground(error: VmferryError): void {
    this.log.warn('the migration is given up, because nothing moves', { error });
    // It is tried again with the next look, which comes as long as nothing moves.
    this.#giveUp(error).catch((later: unknown) => this.log.warn('the migration could not be given up yet', { error: later }));
  }

  async #giveUp(error: VmferryError): Promise<void> {
    this.#gaveUp ??= error.at({ side: 'source', phase: 'perform' });
    this.noteError(this.#gaveUp);
    await this.machine.dispatch({ t: 'cancel' });
  }

  /** The source's word to the hold rule, from the journal and a look at QEMU at this moment. */
  evidence(): EvidenceReply {
    const { storeId } = this.#context.host;
    return { storeId, ...wordOf(this.machine.journal, this.#moving.look()) };
  }

  /** When QEMU's RESUME and its first announcement on the destination were, on this host's clock; with the STOP here they make the downtime. */
  noteResumed({ resumedMsAgo, announcedMsAgo }: Resumed): void {
    const downtimeMs = resumedMsAgo === null ? null : this.#stop.msUntil(resumedMsAgo);
    if (downtimeMs === null) return;
    this.#downtimeMs = downtimeMs;
    this.#announcedMs = announcedMsAgo === null ? this.#announcedMs : this.#stop.msUntil(announcedMsAgo);
    if (this.live.value.progress !== null) this.#report(this.live.value.progress);
  }

  #report(progress: MigrationProgress): void {
    const { jobs } = this.domain;
    if (jobs.active?.kind === 'migration-out') jobs.report(jobs.active, jobProgressOf(progress));
    const measured = { actualMs: this.#downtimeMs, announcedMs: this.#announcedMs };
    this.live.update('progress', { progress: { ...progress, downtime: { ...progress.downtime, ...measured } } });
  }

  async guestGone(): Promise<boolean> {
    const { stage } = this.machine.journal;
    // A QEMU that this agent ends because the guest has left is no error.
    if (this.domain.guest !== null && stage !== 'begun' && stage !== 'leaving' && stage !== 'left') {
      const tail = (await this.domain.guest.logTail()).trim();
      this.noteError(
        new VmferryError(
          'guest-gone',
          `QEMU of domain ${this.domain.name} ended during its migration. Its log ends with: ${tail}`,
          { side: 'source' },
        ),
      );
    }
    await this.machine.dispatch({ t: 'qemu-gone' });
    return this.machine.journal.stage !== 'lost' && !hasEnded(this.machine.journal);
  }

  async guestFell(): Promise<void> {
    if (hasEnded(this.machine.journal)) return;
    const detail = `The guest of domain ${this.domain.name} has switched itself off or has panicked during its migration.`;
    this.noteError(new VmferryError('migration-failed', `${detail} It ends here, and is not handed over.`, { side: 'source' }));
    await this.machine.dispatch({ t: 'cancel' });
  }

  async destroy(): Promise<void> {
    await this.machine.dispatch({ t: 'destroy' });
    await this.machine.whenEnded(AbortSignal.timeout(rollbackWaitMs));
    if (this.machine.journal.stage === 'left' || this.machine.journal.stage === 'leaving') {
      throw new VmferryError(
        'past-point-of-no-return',
        `The domain ${this.domain.name} runs on ${this.#journal.value.destinationHost ?? 'the destination'} now; destroy it there.`,
        {
          data: { host: this.#journal.value.destinationHost, agent: this.#journal.value.machine.destination?.url },
        },
      );
    }
    if (!hasEnded(this.machine.journal)) {
      throw new VmferryError(
        'in-doubt',
        `The migration ${this.id} of domain ${this.domain.name} is not decided yet; its destination has to be asked first.`,
      );
    }
  }

  /** After a restart of the agent, which ends a migration that was not permitted yet, and leaves the rest to the record. */
  async recover(): Promise<void> {
    const phase = this.live.value.phase;
    this.#stop.follow();
    if (this.#moving.look() === 'gone' && this.machine.state.qemu === 'alive') await this.machine.dispatch({ t: 'qemu-gone' });
    this.noteError(
      new VmferryError('migration-failed', `The source agent was restarted during ${phase} of migration ${this.id}.`, {
        side: 'source',
        phase,
      }),
    );
    if (this.machine.state.qemu === 'alive' && this.machine.journal.stage === 'performing') this.#sending.resume();
    await this.machine.recover();
    await this.#sending.follow().catch((error: unknown) => this.log.warn('the migration cannot be followed', { error }));
  }

  async #endFollowed(end: TransferEnd): Promise<void> {
    if (end.t !== 'completed') this.noteError(this.#errorOf(end));
    if (end.t === 'completed') await this.machine.dispatch({ t: 'qemu-completed' }).catch(() => undefined);
    else await this.#tellFailure();
  }

  /** The machine rolls back; the error is told once the guest goes on, or cannot at once. */
  async #failPerform(error: VmferryError): Promise<VmferryError> {
    const placed = this.#gaveUp ?? error.at({ side: 'source', phase: 'perform' });
    this.noteError(placed);
    await this.#tellFailure();
    await this.machine.until(
      (state) => hasEnded(state.journal) || state.journal.stage !== 'resuming',
      AbortSignal.timeout(rollbackWaitMs),
    );
    return placed;
  }

  /**
   * A monitor that broke off is the end of QEMU, and its exit is proven before anything is decided on it: a guest that is taken for
   * one that runs on would make a loaded image elsewhere look stale (I2).
   */
  async #tellFailure(): Promise<void> {
    const { guest } = this.domain;
    if (guest?.qmp.closed === true) await guest.exited;
    const event = { t: this.#moving.look() === 'gone' ? 'qemu-gone' : 'perform-failed' } as const;
    // A step that cannot be journalled is logged and brought again by dispatch itself.
    await this.machine.dispatch(event).catch(() => undefined);
  }

  #errorOf(end: Exclude<TransferEnd, { t: 'completed' }>): VmferryError {
    const { name } = this.domain;
    if (end.t === 'cancelled' || this.#journal.value.cancelRequested !== null) {
      const { hostName } = this.#context.host;
      return new VmferryError(
        'migration-cancelled',
        `The migration of domain ${name} was cancelled; the guest runs on, on ${hostName}.`,
      );
    }
    const said = [`QEMU reports that the migration of domain ${name} failed: ${end.detail.replace(/\.+$/, '')}.`];
    if (end.carrier) said.push(end.carrier);
    // Whoever refuses a certificate says why in its own log; the other end sees a connection that breaks.
    if (wantsTls(this.#journal.value.flags)) said.push("The destination's resource of this migration has what its QEMU says.");
    return new VmferryError('migration-failed', said.join(' '));
  }

  /** Throws `migration-aborted` when the migration is at another stage than its step needs. */
  refuseUnless(wanted: SourceStage): void {
    const { stage } = this.machine.journal;
    if (stage !== wanted)
      throw new VmferryError('migration-aborted', `The migration ${this.id} is ${stage}; Perform cannot go on.`);
  }

  /** A driver that cannot move a lease at once frees it when QEMU has completed, never at STOP (locking, 4.3). */
  async #offerLease(): Promise<void> {
    const { locks } = this.#context;
    if (locks.usesState && !locks.canTransferAtomically) await locks.release(this.domain.uuid, resourcesOf(this.domain.uuid));
    await this.#context.faults('S13');
  }

  async #persist(machine: SourceJournal): Promise<void> {
    await this.#journal.write({ machine, phases: this.live.value.phaseTransitions });
    const handle = this.domain.jobs.active;
    const phase = phaseOf(machine.stage);
    if (handle !== null && phase !== 'none') await this.domain.jobs.phase(handle, phase);
  }

  async #leave(): Promise<void> {
    this.live.enter('confirm', 'source');
    const { faults } = this.#context;
    const { guest } = this.domain;
    await this.#stop.markPaused();
    if (guest !== null) {
      await this.#letClientsGo(guest);
      await guest.kill();
      await faults('S19');
      await this.domain.tidy({ migrated: true, state: { state: 'shutoff', reason: 'migrated' }, audit: 'migrated' });
    }
    if (this.#journal.value.flags.includes('UNDEFINE_SOURCE') && this.domain.config !== null)
      await this.#owner.undefineMoved(this.domain);
    await faults('S20');
  }

  /** The record says committed and the guest runs elsewhere: only what its SPICE clients take along is waited for. */
  async #letClientsGo({ alive, qmp }: Guest): Promise<void> {
    if (!alive || this.#journal.value.display?.type !== 'spice') return;
    await spiceClientsMoved(qmp, spiceClientsMsMax).catch((error: unknown) =>
      this.log.warn('QEMU is ended before its SPICE clients have all gone on', { error }),
    );
  }

  #tell(state: SourceState): void {
    this.live.update('phase', resourceOf(this.#context, this.#journal.value, state, this.#error));
  }

  async #end(state: SourceState): Promise<void> {
    this.#untieSession();
    this.#stop.unfollow();
    await this.#letGo(state.journal.stage);
    if (state.journal.stage !== 'left' && this.#error === null) this.noteError(this.#givenUp());
    await this.#journal.write({
      finishedAt: this.#context.clock.wall().toISOString(),
      outcome: this.#outcomeOf(state),
      error: this.#error === null ? null : { ...toProblem(this.#error) },
      phases: this.live.value.phaseTransitions,
      progress: this.live.value.progress,
    });
    noteDeparture(this.#context, this.#journal.value);
    await this.#context.faults('S21');
    // The destination answers it when the guest was taken over there: whoever is told of the success can act on it at once.
    if (state.journal.stage === 'left') await this.#acknowledged;
    this.live.update('done', resourceOf(this.#context, this.#journal.value, state, this.#error));
    this.#context.metrics.ended(this.live.value);
  }

  /** The domain is free again. When a later write failed and the end is tried again, another migration may have it: that one keeps it. */
  async #letGo(stage: SourceStage): Promise<void> {
    const { domain } = this;
    this.#job ??= { handle: domain.jobs.active };
    if (stage === 'lost' && domain.guest !== null && !domain.guest.alive) {
      await domain.tidy({ migrated: true, state: { state: 'shutoff', reason: 'crashed' }, audit: 'crashed' });
    }
    if (domain.guest?.alive === true) await this.#dropCredentials(domain.guest);
    await this.#moving.unmark(this.key);
    if (domain.migration === this) domain.setMigration(null);
    await domain.reconcile();
    const { handle } = this.#job;
    if (handle?.kind === 'migration-out') await domain.jobs.endAsync(handle, this.#jobEnd(stage));
  }

  /** Of a guest that has stayed; the next migration sets what it needs, and a QEMU should not keep a key that it does not need. */
  async #dropCredentials({ qmp }: Guest): Promise<void> {
    if (!wantsTls(this.#journal.value.flags)) return;
    const unclear = (error: unknown) => this.log.warn('QEMU keeps the certificates of its migration', { error });
    await clearMigrationTls(qmp).catch(unclear);
  }

  #jobEnd(stage: SourceStage): JobEnd {
    if (stage === 'left') return 'completed';
    return stage === 'stayed' && this.#journal.value.cancelRequested !== null ? 'cancelled' : 'failed';
  }

  /** A managed migration fails at its client, which tells this agent only to let it go: that is all that is known here (S26). */
  #givenUp(): VmferryError {
    const detail = `The migration ${this.id} of domain ${this.domain.name} was given up before the destination had committed; see its driver and the destination.`;
    return new VmferryError('migration-aborted', detail, { side: 'source' });
  }

  #outcomeOf(state: SourceState): Answer | null {
    if (state.journal.stage === 'left') return 'committed';
    return state.answer === 'silent' ? null : state.answer;
  }
}

/** As the resource tells it. */
function displayOf({
  type,
  hostName,
  listen,
  port,
  tlsPort,
}: NonNullable<AcceptedPerform['display']>): OutgoingJournal['display'] {
  return { type, hostName, listen, port: port === -1 ? null : port, tlsPort: tlsPort === -1 ? null : tlsPort };
}
