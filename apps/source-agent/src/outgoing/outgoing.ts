import type { EvidenceReply, MigrationParameters, MigrationProgress, PerformReply, PerformRequest } from '@vmferry/api';
import { type CookiePeer, type CookieStream, cookieToBase64, encodeCookie } from '@vmferry/cookie';
import { toProblem, VmferryError } from '@vmferry/errors';
import { type Channel, resourcesOf } from '@vmferry/guest';
import type { AsyncJobHandle, JobEnd } from '@vmferry/jobs';
import { decodeLockState, reclaimLease } from '@vmferry/locking';
import {
  type Answer,
  hasEnded,
  keyName,
  type MigrationKey,
  type Permit,
  phaseOf,
  type SourceJournal,
  type SourceStage,
  type SourceState,
  wordOf,
} from '@vmferry/migration';
import type { QmpEvent } from '@vmferry/qmp';
import { LiveMigration, type Log } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import { noteDeparture } from '../domains/departures.js';
import type { Domain, DomainMigration } from '../domains/domain.js';
import { openChannel } from './channel.js';
import { jobProgressOf } from './job-progress.js';
import type { OutgoingJournal } from './outgoing-journal.js';
import { type Heard, OutgoingMigration } from './outgoing-migration.js';
import { firstResource, resourceOf } from './outgoing-resource.js';
import type { Overdue } from './patience.js';
import { type AcceptedPerform, acceptPerform, type PerformOf, readCookie } from './perform-request.js';
import { Transfer, type TransferEnd } from './transfer.js';

/** Told when a migration is over and tidied. */
export interface OutgoingOwner {
  undefine(domain: Domain): Promise<void>;
}

const rollbackWaitMs = 10_000;
/** From STOP to the permit, as it is when nothing is slow: tens of milliseconds. */
const permitFirstMs = 500;

/**
 * One outgoing migration on this host: its journal, its transfer, and what the source machine acts through. The decisions are the
 * machine's.
 */
export class Outgoing implements DomainMigration {
  readonly machine: OutgoingMigration;
  readonly live: LiveMigration;
  readonly log: Log;
  readonly domain: Domain;
  readonly #context: SourceContext;
  readonly #owner: OutgoingOwner;
  #journal: OutgoingJournal;
  #writes: Promise<unknown> = Promise.resolve();
  #transfer: Transfer | null = null;
  #stoppedAtMs: number | null = null;
  /** The writing of paused/migration, once it is under way. */
  #paused: Promise<void> | null = null;
  #downtimeMs: number | null = null;
  #untieSession: () => void = () => undefined;
  #unfollowStops: () => void = () => undefined;
  #error: VmferryError | null = null;
  /** Why this agent itself has asked for the end of the transfer. */
  #timedOut: VmferryError | null = null;
  #acknowledged: Promise<void> = Promise.resolve();
  /** The job of the domain as it was when this migration ended. */
  #job: { readonly handle: AsyncJobHandle | null } | null = null;

  constructor(context: SourceContext, domain: Domain, journal: OutgoingJournal, owner: OutgoingOwner, restored: boolean) {
    this.#context = context;
    this.domain = domain;
    this.#journal = journal;
    this.#owner = owner;
    this.log = context.log.child({ migrationId: journal.machine.key.id, side: 'source' });
    this.live = new LiveMigration(context.clock, firstResource(context, journal));
    const ports = {
      clock: context.clock,
      log: this.log,
      retryMs: context.retryMs,
      persist: (machine: SourceJournal) => this.#persist(machine),
      look: () => this.#lookAtQemu(),
      cancelQemu: () => this.#cancelQemu(),
      ask: (abortUnlessCommitted: boolean) => this.#ask(abortUnlessCommitted),
      driveFinish: () => this.#driveFinish(),
      leave: () => this.#leave(),
      resume: (machine: SourceJournal) => this.#resume(machine),
      destroyQemu: () => domain.end({ state: 'shutoff', reason: 'destroyed' }, 'destroyed'),
      acknowledge: () => {
        this.#acknowledged = this.#acknowledge();
        return this.#acknowledged;
      },
      changed: (state: SourceState) => {
        if (state.journal.stage === 'permitted') this.#markPaused();
        this.#tell(state);
      },
      ended: (state: SourceState) => this.#end(state),
    };
    const { key, permit, resumeOnRollback } = journal.machine;
    this.machine = restored
      ? OutgoingMigration.restore(journal.machine, domain.hasProcess ? 'alive' : 'gone', ports)
      : OutgoingMigration.begin({ key, permit, resumeOnRollback }, ports);
  }

  get id(): string {
    return this.#journal.machine.key.id;
  }

  get key(): MigrationKey {
    return this.#journal.machine.key;
  }

  get journal(): OutgoingJournal {
    return this.#journal;
  }

  /** Its resource is not told of any more; its word to the hold rule is kept (handover rule, "Around it"). */
  async forget(): Promise<void> {
    await this.#write({ forgotten: true });
  }

  /** Writes the journal of Begin, before its cookie is given away. When that fails, nothing of the migration stays. */
  async open(): Promise<void> {
    try {
      await this.#write({});
      await this.domain.activeGuest().update({ migration: { ...this.key, role: 'source' } });
      await this.#context.faults('S1');
    } catch (thrown) {
      this.#untieSession();
      const error = VmferryError.from(thrown);
      await this.#withdraw().catch((later: unknown) => error.suppress(later, this.#context.clock.wall()));
      throw error;
    }
    this.#followStops();
  }

  /** The status document first: a guest whose migration has no journal any more would not be run. */
  async #withdraw(): Promise<void> {
    const { guest } = this.domain;
    if (guest !== null && guest.status.migration !== null) await guest.update({ migration: null });
    await this.#context.journals.remove(keyName(this.key));
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
    return { domain: this.domain, key: this.key, protocol: this.#journal.protocol };
  }

  /** Finish's cookie, in Confirm: it decides nothing, but one of another migration is a mistake worth telling. */
  checkFinishCookie(cookie: string): void {
    if (cookie !== '') readCookie(this.#context, this.#performOf, cookie);
  }

  /** Perform: the stream from its opening to QEMU's terminal status. Resolves with the permit only when that is `completed`. */
  async perform(accepted: AcceptedPerform): Promise<PerformReply> {
    const { url, storeId } = accepted.peer;
    this.live.enter('perform', 'source');
    await this.machine.dispatch({ t: 'perform', destination: { url, storeId } });
    this.refuseUnless('performing');
    await this.#context.faults('S6');
    let end: TransferEnd;
    try {
      end = await this.#transferTo(accepted);
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
    return { cookie: this.#cookie(true) };
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
    const heard = await this.#ask(false);
    if (heard.answer === 'committed' || heard.answer === 'aborted' || heard.answer === 'unknown') {
      // A step that cannot be journalled is logged and brought again by dispatch itself.
      await this.machine.dispatch({ t: 'answer', ...heard }).catch(() => undefined);
    } else this.watchRecord();
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
        `The migration ${this.id} has committed: the guest runs on the destination.`,
      );
    }
    if (hasEnded(this.machine.journal)) return;
    if (this.#journal.cancelRequested === null) {
      await this.#write({ cancelRequested: { at: this.#context.clock.wall().toISOString(), by } });
    }
    this.#tell(this.machine.state);
    await this.machine.dispatch({ t: 'cancel' });
  }

  /** Changes the limits while it runs; they are kept for a Perform that is still to come. */
  async steer(parameters: MigrationParameters): Promise<void> {
    const { bandwidthMibPerSec, downtimeMsMax } = parameters;
    const timeouts = { ...this.#journal.timeouts, ...parameters.timeouts };
    const bandwidthBytesPerSec =
      bandwidthMibPerSec === undefined ? this.#journal.bandwidthBytesPerSec : bandwidthMibPerSec * 1_048_576;
    await this.#write({ bandwidthBytesPerSec, downtimeMsMax: downtimeMsMax ?? this.#journal.downtimeMsMax, timeouts });
    // One that was raised to complete stays raised unless another is asked for.
    const asked = bandwidthMibPerSec === undefined ? {} : { bandwidthBytesPerSec: bandwidthBytesPerSec ?? undefined };
    await this.#transfer?.steer({ ...asked, downtimeMsMax, timeouts });
    this.#tell(this.machine.state);
  }

  /**
   * Stops the guest, so that the rest of its memory goes over. A rollback runs it again: that is in Begin's journal. Only while memory
   * is being sent: before, there is nothing to complete, and after it the record decides. Throws `not-migrating`.
   */
  async forceComplete(by: string): Promise<void> {
    const { stage } = this.machine.journal;
    if (this.#transfer === null || stage !== 'performing') {
      throw new VmferryError(
        'not-migrating',
        `The migration ${this.id} is ${stage}: no memory is being sent that could be completed.`,
      );
    }
    if (this.#journal.forceComplete === null) {
      const requestedAt = this.#context.clock.wall().toISOString();
      await this.#write({ forceComplete: { strategy: 'pause', requestedAt, requestedBy: by } });
    }
    await this.#transfer.pause();
    this.#tell(this.machine.state);
  }

  /** A time of the migration is over; QEMU has not completed as far as is known, and the source decides alone. */
  async #overdue({ action, what, seconds }: Overdue): Promise<void> {
    const reason = what === 'total' ? `not completed after ${seconds} s` : `without progress for ${seconds} s`;
    this.log.warn('the time of the migration is over', { action, reason });
    if (action === 'pause') return this.forceComplete(`timeout: ${reason}`);
    const detail = `The migration of domain ${this.domain.name} was ${reason} and is cancelled; the guest runs on, on ${this.#context.host.hostName}.`;
    this.#timedOut = new VmferryError('migration-timeout', detail, { side: 'source', phase: 'perform' });
    this.noteError(this.#timedOut);
    await this.machine.dispatch({ t: 'cancel' });
  }

  /** The source's word to the hold rule, from the journal and a look at QEMU at this moment. */
  evidence(): EvidenceReply {
    const { storeId } = this.#context.host;
    return { storeId, ...wordOf(this.machine.journal, this.#lookAtQemu()) };
  }

  /** Asks the kernel, not an event that may still be on its way: the other side may give up its copy on the answer. */
  #lookAtQemu(): 'alive' | 'gone' {
    return this.domain.hasProcess ? 'alive' : 'gone';
  }

  /** When QEMU's RESUME on the destination was, on this host's clock; with the STOP here it makes the downtime. */
  noteResumed(msAgo: number | null): void {
    if (msAgo === null || this.#stoppedAtMs === null) return;
    this.#downtimeMs = Math.max(0, Math.round(this.#context.clock.monotonicMs() - msAgo - this.#stoppedAtMs));
    if (this.live.value.progress !== null) this.#report(this.live.value.progress);
  }

  #report(progress: MigrationProgress): void {
    const { jobs } = this.domain;
    if (jobs.active?.kind === 'migration-out') jobs.report(jobs.active, jobProgressOf(progress));
    this.live.update('progress', { progress: { ...progress, downtime: { ...progress.downtime, actualMs: this.#downtimeMs } } });
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
        `The domain ${this.domain.name} runs on ${this.#journal.destinationHost ?? 'the destination'} now; destroy it there.`,
        {
          data: { host: this.#journal.destinationHost, agent: this.#journal.machine.destination?.url },
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
    this.#followStops();
    if (this.#lookAtQemu() === 'gone' && this.machine.state.qemu === 'alive') await this.machine.dispatch({ t: 'qemu-gone' });
    this.noteError(
      new VmferryError('migration-failed', `The source agent was restarted during ${phase} of migration ${this.id}.`, {
        side: 'source',
        phase,
      }),
    );
    if (this.machine.state.qemu === 'alive' && this.machine.journal.stage === 'performing') {
      this.#transfer = this.#newTransfer();
      void this.#followTransfer(this.#transfer);
    }
    await this.machine.recover();
    if (this.#transfer !== null)
      await this.#transfer.follow().catch((error: unknown) => this.log.warn('the migration cannot be followed', { error }));
  }

  async #followTransfer(transfer: Transfer): Promise<void> {
    const end = await transfer.end;
    if (end.t !== 'completed') this.noteError(this.#errorOf(end));
    if (end.t === 'completed') await this.machine.dispatch({ t: 'qemu-completed' }).catch(() => undefined);
    else await this.#tellFailure();
  }

  async #transferTo({ peer, stream, bandwidthMibPerSec, display }: AcceptedPerform): Promise<TransferEnd> {
    const channel = await this.#openChannel(peer, stream);
    try {
      await this.#makeReady(bandwidthMibPerSec);
    } catch (thrown) {
      giveUp(channel);
      throw thrown;
    }
    this.#transfer = this.#newTransfer();
    await this.#transfer.start(channel, display);
    return this.#transfer.end;
  }

  /** The last things before QEMU is told to migrate. */
  async #makeReady(bandwidthMibPerSec: number | undefined): Promise<void> {
    await this.#context.faults('S7');
    const { qmp } = this.domain.activeGuest();
    if (bandwidthMibPerSec !== undefined) await this.#write({ bandwidthBytesPerSec: bandwidthMibPerSec * 1_048_576 });
    if (!this.#journal.flags.includes('LIVE') && this.domain.state.state === 'running') {
      // Non-live: the guest stands still while its memory goes over; rollback runs it again.
      await qmp.execute('stop', {});
      await this.domain.setState({ state: 'paused', reason: 'migration' });
    }
    if (this.machine.state.cancelWanted) {
      throw new VmferryError('migration-cancelled', `The migration ${this.id} was cancelled before its stream began.`);
    }
  }

  #newTransfer(): Transfer {
    return new Transfer({
      qmp: this.domain.activeGuest().qmp,
      clock: this.#context.clock,
      faults: this.#context.faults,
      log: this.log,
      bandwidthBytesPerSec: this.#journal.bandwidthBytesPerSec,
      downtimeMsMax: this.#journal.downtimeMsMax,
      timeouts: this.#journal.timeouts,
      memoryKib: this.domain.definition.memoryKib,
      onProgress: (progress) => this.#report(progress),
      onOverdue: (overdue) => this.#overdue(overdue),
    });
  }

  /** Nobody is connected to on the word of a cookie alone: the record that it names has to know the migration first (threats, row 6). */
  async #openChannel(peer: CookiePeer, stream: CookieStream): Promise<Channel> {
    await this.#refuseUnlessOpen(peer);
    return openChannel(this.#context, this.#journal.transport, this.id, stream);
  }

  /** Before QMP `migrate` the peer's record must say `open` (handover rule, "Around it"); in v2 this is also when it hears whose it is. */
  async #refuseUnlessOpen(peer: CookiePeer): Promise<void> {
    const agent = this.#context.destinationAgent(peer.url);
    const { begin, protocol, flags } = this.#journal;
    const key = { nonce: this.key.nonce, storeId: peer.storeId };
    const reply = await (protocol === 'v2'
      ? agent.bind(this.id, { ...key, cookie: begin.cookie, paused: flags.includes('PAUSED') })
      : agent.outcome(this.id, { ...key, abortUnlessCommitted: false }));
    if (reply.storeId === peer.storeId && reply.answer === 'open') return;
    throw new VmferryError(
      'migration-aborted',
      `The destination's record of migration ${this.id} says ${reply.answer}${reply.reason === null ? '' : `: ${reply.reason}`}.`,
    );
  }

  /** The machine rolls back; the error is told once the guest goes on, or cannot at once. */
  async #failPerform(error: VmferryError): Promise<VmferryError> {
    const placed = this.#timedOut ?? error.at({ side: 'source', phase: 'perform' });
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
    const event = { t: this.#lookAtQemu() === 'gone' ? 'qemu-gone' : 'perform-failed' } as const;
    // A step that cannot be journalled is logged and brought again by dispatch itself.
    await this.machine.dispatch(event).catch(() => undefined);
  }

  #errorOf(end: Exclude<TransferEnd, { t: 'completed' }>): VmferryError {
    const { name } = this.domain;
    if (end.t === 'cancelled' || this.#journal.cancelRequested !== null) {
      const { hostName } = this.#context.host;
      return new VmferryError(
        'migration-cancelled',
        `The migration of domain ${name} was cancelled; the guest runs on, on ${hostName}.`,
      );
    }
    return new VmferryError('migration-failed', `QEMU reports that the migration of domain ${name} failed: ${end.detail}.`);
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

  #cookie(withPermit: boolean): string {
    const { hostName, hostUuid } = this.#context.host;
    const { permit } = this.machine.journal;
    const vmferry = { migrationId: this.id, nonce: this.key.nonce, ...(withPermit ? { permit } : {}) };
    return cookieToBase64(
      encodeCookie({ name: this.domain.name, uuid: this.domain.uuid, hostName, hostUuid, features: [], vmferry }),
    );
  }

  async #persist(machine: SourceJournal): Promise<void> {
    await this.#write({ machine, phases: this.live.value.phaseTransitions });
    const handle = this.domain.jobs.active;
    const phase = phaseOf(machine.stage);
    if (handle !== null && phase !== 'none') await this.domain.jobs.phase(handle, phase);
  }

  /** One write at a time, each on top of the one before. */
  async #write(change: Partial<OutgoingJournal>): Promise<void> {
    const write = this.#writes.then(async () => {
      const next = { ...this.#journal, ...change };
      await this.#context.journals.write(keyName(next.machine.key), next);
      this.#journal = next;
    });
    this.#writes = write.catch(() => undefined);
    await write;
  }

  async #cancelQemu(): Promise<void> {
    if (this.#transfer === null) {
      this.#transfer = this.#newTransfer();
      void this.#followTransfer(this.#transfer);
      await this.#transfer.follow();
    }
    await this.#transfer.cancel();
  }

  async #ask(abortUnlessCommitted: boolean): Promise<Heard> {
    const { destination, key } = this.machine.journal;
    if (destination === null) return { answer: 'aborted', lease: null };
    try {
      const body = { nonce: key.nonce, storeId: destination.storeId, abortUnlessCommitted };
      const reply = await this.#context.destinationAgent(destination.url).outcome(key.id, body);
      if (reply.storeId !== destination.storeId) return { answer: 'silent', lease: null };
      this.noteResumed(reply.resumedMsAgo);
      await this.#context.faults('S18');
      return { answer: reply.answer, lease: reply.lockState };
    } catch (error) {
      this.log.warn('the destination agent does not answer', { url: destination.url, error });
      return { answer: 'silent', lease: null };
    }
  }

  /** The source's QEMU is gone and the permit was journalled: Finish is driven from here (rule 4). */
  async #driveFinish(): Promise<Heard> {
    const { destination, key } = this.machine.journal;
    if (destination === null) return { answer: 'aborted', lease: null };
    try {
      const agent = this.#context.destinationAgent(destination.url);
      const body = { nonce: key.nonce, flags: [...this.#journal.flags], cancelled: false };
      const { outcome } = await (this.#journal.protocol === 'v2'
        ? agent.finish2(key.id, body)
        : agent.finish(key.id, { ...body, cookie: this.#cookie(true) }));
      return { answer: outcome, lease: null };
    } catch (error) {
      this.log.warn('Finish could not be driven from the source', { error });
      return this.#ask(false);
    }
  }

  async #leave(): Promise<void> {
    this.live.enter('confirm', 'source');
    const { faults } = this.#context;
    const { guest } = this.domain;
    this.#markPaused();
    await this.#paused;
    if (guest !== null) {
      await guest.kill();
      await faults('S19');
      await this.domain.tidy({ migrated: true, state: { state: 'shutoff', reason: 'migrated' }, audit: 'migrated' });
    }
    if (this.#journal.flags.includes('UNDEFINE_SOURCE') && this.domain.config !== null) await this.#owner.undefine(this.domain);
    await faults('S20');
  }

  /** Lease first, then `cont`; a guest that its user had paused stays paused. False when it has to be tried again. */
  async #resume(machine: SourceJournal): Promise<boolean> {
    const { locks } = this.#context;
    const guest = this.domain.activeGuest();
    try {
      const returned = machine.returnedLease === null ? null : decodeLockState(machine.returnedLease, locks.name);
      await reclaimLease(locks, this.domain.uuid, resourcesOf(this.domain.uuid), returned);
      const { status } = await guest.qmp.execute('query-status', {});
      if (status === 'running') await this.domain.setState({ state: 'running', reason: 'migration canceled' });
      // A guest that has powered off or panicked meanwhile is settled like any other, once this migration is over.
      const fallen = this.domain.hasFallen || status === 'shutdown' || status === 'guest-panicked';
      if (status === 'running' || fallen || !machine.resumeOnRollback) return true;
      await guest.qmp.execute('cont', {});
      await this.domain.setState({ state: 'running', reason: 'migration canceled' });
      await guest.announce().catch(() => undefined);
      this.domain.warn(null);
      return true;
    } catch (error) {
      this.log.warn('the guest cannot run on here yet; it is tried again', { error });
      this.domain.warn(
        `After migration ${this.id} the guest could not be run on ${this.#context.host.hostName} yet: ${VmferryError.from(error).message}`,
      );
      return false;
    }
  }

  async #acknowledge(): Promise<void> {
    const { destination, key } = this.machine.journal;
    if (destination === null) return;
    await this.#context
      .destinationAgent(destination.url)
      .acknowledge(key.id, { nonce: key.nonce, storeId: destination.storeId })
      // The record stays until it is acknowledged, so a lost word costs a file and no safety.
      .catch((error: unknown) => this.log.warn('the destination could not be told that its record was acted on', { error }));
  }

  /** Listens for STOP as long as this migration has the guest in hand, and no longer. */
  #followStops(): void {
    const { guest } = this.domain;
    guest?.qmp.on('STOP', this.#onStop);
    this.#unfollowStops = () => guest?.qmp.off('STOP', this.#onStop);
  }

  /**
   * QEMU stops the guest by itself at the end of the transfer: the state follows its event. The permit goes first, which the guest
   * stands still for; a transfer that takes long after STOP is not waited for.
   */
  #onStop = (event: QmpEvent<'STOP'>): void => {
    this.#stoppedAtMs = event.receivedAtMs;
    const follow = async () => {
      await this.#context.faults('S11');
      await this.machine.until(({ journal }) => journal.stage !== 'performing', AbortSignal.timeout(permitFirstMs));
      const { stage } = this.machine.journal;
      if (stage === 'performing' || stage === 'permitted') this.#markPaused();
    };
    follow().catch((error: unknown) => this.log.warn('the stop of the guest could not be followed', { error }));
  };

  /** S22: by QEMU's STOP or its `completed`, whichever is heard of, the guest is paused by its migration; it is written once. */
  #markPaused(): void {
    if (this.#paused !== null || this.domain.guest?.alive !== true || this.domain.state.state !== 'running') return;
    this.#paused = this.domain.setState({ state: 'paused', reason: 'migration' }).catch((error: unknown) => {
      this.#paused = null;
      this.log.warn('the state of the stopped guest could not be written', { error });
    });
  }

  #tell(state: SourceState): void {
    this.live.update('phase', resourceOf(this.#context, this.#journal, state, this.#error));
  }

  async #end(state: SourceState): Promise<void> {
    this.#untieSession();
    this.#unfollowStops();
    await this.#letGo(state.journal.stage);
    if (state.journal.stage !== 'left' && this.#error === null) this.noteError(this.#givenUp());
    await this.#write({
      finishedAt: this.#context.clock.wall().toISOString(),
      outcome: this.#outcomeOf(state),
      error: this.#error === null ? null : { ...toProblem(this.#error) },
      phases: this.live.value.phaseTransitions,
      progress: this.live.value.progress,
    });
    noteDeparture(this.#context, this.#journal);
    await this.#context.faults('S21');
    // The destination answers it when the guest was taken over there: whoever is told of the success can act on it at once.
    if (state.journal.stage === 'left') await this.#acknowledged;
    this.live.update('done', resourceOf(this.#context, this.#journal, state, this.#error));
    this.#context.metrics.ended(this.live.value);
  }

  /** The domain is free again. When a later write failed and the end is tried again, another migration may have it: that one keeps it. */
  async #letGo(stage: SourceStage): Promise<void> {
    const { domain } = this;
    this.#job ??= { handle: domain.jobs.active };
    if (stage === 'lost' && domain.guest !== null && !domain.guest.alive) {
      await domain.tidy({ migrated: true, state: { state: 'shutoff', reason: 'crashed' }, audit: 'crashed' });
    }
    const { guest } = domain;
    if (guest?.alive === true && guest.status.migration?.nonce === this.key.nonce) await guest.update({ migration: null });
    if (domain.migration === this) domain.setMigration(null);
    await domain.reconcile();
    const { handle } = this.#job;
    if (handle?.kind === 'migration-out') await domain.jobs.endAsync(handle, this.#jobEnd(stage));
  }

  #jobEnd(stage: SourceStage): JobEnd {
    if (stage === 'left') return 'completed';
    return stage === 'stayed' && this.#journal.cancelRequested !== null ? 'cancelled' : 'failed';
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

function giveUp(channel: Channel): void {
  channel.shut();
  channel.release();
}
