import type { Socket } from 'node:net';
import type { FinishReply, OutcomeReply } from '@vmferry/api';
import { type DomainDefinition, parseDomain } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import { auditedOf, Channel, disposeHoldings, disposeUnstarted, findGuest, type Guest, incomingStateOf } from '@vmferry/guest';
import { type DomainStatus, KeptDocument } from '@vmferry/host-state';
import { clearMigrationTls, isSameProcess, killProcess, type ProcessIdentity } from '@vmferry/hypervisor';
import {
  type Binding,
  type DestinationState,
  type IncomingQemu,
  isBound,
  isBoundBy,
  isFinal,
  isOffline,
  keyName,
  type OutcomeRecord,
  type Permit,
  wantsTls,
} from '@vmferry/migration';
import type { Timer } from '@vmferry/seams';
import { LiveMigration, type Log } from '@vmferry/service';
import type { DestinationContext } from '../context.js';
import { Handover } from './handover.js';
import { IncomingEvents } from './incoming-events.js';
import { hasArrivedOffline, type IncomingJournal } from './incoming-journal.js';
import { IncomingMigration } from './incoming-migration.js';
import { firstResource, resourceOf } from './incoming-resource.js';
import { leasePort } from './lease-port.js';
import { noGuest, noLease } from './offline.js';
import { Persistence } from './persistence.js';
import { refuseDuplicate } from './prepare-request.js';
import { askSource } from './source-question.js';
import { IncomingStream } from './stream.js';
import { StreamWatch } from './stream-watch.js';

const lookDeadlineMs = 3_000;
const contDeadlineMs = 5_000;
/** Of a time in UTC to the millisecond, with which QEMU begins each line of its log. */
const isoMsChars = '2030-01-01T00:00:00.000'.length;

/**
 * One incoming migration on this host: its journal with the outcome record, its QEMU, its stream and its timers. The decision is
 * the machine's; this is what the machine acts through, and what follows a decision.
 */
export class Incoming {
  readonly migration: IncomingMigration;
  readonly live: LiveMigration;
  readonly log: Log;
  readonly events: IncomingEvents;
  readonly #context: DestinationContext;
  readonly #handover: Handover;
  readonly #persistence: Persistence;
  readonly #document: KeptDocument<IncomingJournal>;
  #starting: Promise<unknown> = Promise.resolve();
  #guest: Guest | null = null;
  /** The process that the status document named after a restart. */
  #found: ProcessIdentity | null = null;
  #stream: IncomingStream | null = null;
  #watch: StreamWatch | null = null;
  /** Ends an offline migration that nobody finishes: there is no stream to watch. */
  #patience: Timer | null = null;
  #untieSession: () => void = () => undefined;
  #keep: () => void = () => undefined;
  /** The configuration of a committed domain is kept: all that Finish's answer waits for (handover rule 3). */
  readonly #kept = new Promise<void>((resolve) => {
    this.#keep = resolve;
  });
  #resumedAtMs: number | null = null;
  #announcedAtMs: number | null = null;
  #announcing: Promise<void> | null = null;
  /** An earlier life of this agent has prepared it. */
  #restarted = false;
  #error: VmferryError | null = null;

  constructor(context: DestinationContext, journal: IncomingJournal) {
    this.#context = context;
    this.#document = new KeptDocument(context.journals, keyName(journal.record.key), journal);
    this.log = context.log.child({ migrationId: journal.record.key.id, side: 'destination' });
    this.live = new LiveMigration(context.clock, firstResource(context, journal));
    this.#handover = new Handover(context, journal.record.key, this.log);
    const { offline } = this;
    this.events = new IncomingEvents(
      context.events,
      journal.domain ?? { uuid: '', name: '' },
      offline ? journal.createdAt : undefined,
    );
    this.#persistence = new Persistence({
      configs: context.configs,
      events: this.events,
      journal: () => this.journal,
      write: (change) => this.#document.write(change),
    });
    this.migration = new IncomingMigration(journal.record, {
      clock: context.clock,
      faults: context.faults,
      log: this.log,
      retryMs: context.timers.retryMs,
      persist: (record) => this.#document.write({ record }),
      askSource: () => askSource(context, this.journal.record, this.log),
      guest: offline ? noGuest : { cont: () => this.#cont(), look: () => this.#look(), kill: () => this.#kill() },
      lease: offline
        ? noLease(
            () => this.journal,
            () => this.#stillKept(),
          )
        : leasePort(
            context,
            () => this.journal,
            () => this.#stillMine(),
          ),
      conclude: (record) => this.#conclude(record),
      changed: (state) => this.#tell(state),
    });
  }

  get journal(): IncomingJournal {
    return this.#document.value;
  }

  /** Whether a definition comes in, and no guest. */
  get offline(): boolean {
    return isOffline(this.journal.flags);
  }

  /** Takes charge of the QEMU that was started for this migration, or was found again after a restart. */
  own(guest: Guest): void {
    this.#guest = guest;
    const { clock, faults } = this.#context;
    guest.qmp.on('RESUME', (event) => {
      this.#resumedAtMs = event.receivedAtMs;
      void this.#announce(guest);
      void (async () => {
        await faults('D17');
        await this.migration.dispatch({ t: 'qemu-resumed' });
      })().catch((error: unknown) => this.log.error('the proof that the guest runs could not be journalled', { error }));
    });
    guest.qmp.on('MIGRATION', ({ data }) => {
      const unnoted = (error: unknown) => this.log.error('what the stream has done could not be noted', { ...data, error });
      if (data.status === 'active') this.#streaming().catch(unnoted);
      if (data.status === 'completed') this.#loaded().catch(unnoted);
      if (data.status === 'failed') this.#explainFailure(guest).catch(unnoted);
    });
    guest.exited
      .then(async () => {
        if (!isFinal(this.migration.record)) await this.#explainExit(guest, clock.wall());
        await this.migration.dispatch({ t: 'qemu-gone' });
      })
      // The machine's shell keeps the fact and tries again; an agent that ended for it would help nobody.
      .catch((error: unknown) => this.log.error('the end of QEMU could not be journalled', { error }));
  }

  /** Writes the record `open`, before anything else happens; the source-agent of this host is told of it first. */
  async open(): Promise<void> {
    const { domain, record } = this.journal;
    if (domain !== null) await this.#context.arrivals.write(domain.uuid, record.key);
    await this.#document.write({});
  }

  /** Prepare is starting QEMU: what follows a decision waits until that is over, so that nothing is left behind. */
  async starting<T>(start: Promise<T>): Promise<T> {
    this.#starting = start.catch(() => undefined);
    const started = await start;
    this.refuseIfDecided();
    return started;
  }

  /** Throws `migration-aborted` when the record was decided while Prepare was under way. */
  refuseIfDecided(): void {
    if (!isFinal(this.migration.record)) return;
    const { key, reason } = this.migration.record;
    throw new VmferryError(
      'migration-aborted',
      `The migration ${key.id} was aborted during Prepare: ${reason ?? 'no reason is known'}.`,
    );
  }

  /** Ties this migration to a control session. Throws `session-not-found`. */
  tie(session: string): void {
    this.#untieSession = this.#context.sessions.attach(session, () =>
      this.#abort('session-lost', 'the control session of the migration ended'),
    );
  }

  /** The stream is offered: its timers run from now on. */
  arm(stream: IncomingStream): void {
    this.#stream = stream;
    this.#watch = new StreamWatch(this.#context, stream, (code, detail) => this.#failStream(code, detail));
  }

  /** A channel of a parallel migration is no more, which its QEMU may not notice: it may be waiting for that very channel. */
  streamLost(detail: string): void {
    this.#watch?.lost(detail);
  }

  /** Of an offline migration: whoever prepared it has to finish it in the time that a stream has to begin. */
  armOffline(): void {
    const { clock, timers } = this.#context;
    this.#patience = clock.after(timers.attachMs, () =>
      this.#abort('migration-timeout', `it was not finished within ${timers.attachMs / 1_000} s`),
    );
  }

  /** Uses the ticket of a direct stream up. Throws `ticket-invalid`, also when no stream is waited for. */
  redeem(ticket: string): void {
    if (this.#stream === null || this.#guest === null)
      throw new VmferryError('ticket-invalid', `The migration ${this.journal.record.key.id} takes no stream now.`);
    this.#stream.redeem(ticket);
  }

  /** Hands the source's connection to QEMU. Throws what QEMU answers; the connection is ended then. */
  async attach(socket: Socket): Promise<void> {
    const of = { tls: wantsTls(this.journal.flags), port: socket.localPort ?? 0 };
    const channel = Channel.of(socket);
    try {
      // Between the ticket and this moment all may have been given up.
      if (this.#stream === null || this.#guest === null)
        throw new VmferryError('stream-failed', `The migration ${this.journal.record.key.id} takes no stream any more.`);
      await this.#stream.attach(channel, this.#guest, of);
      await this.#context.faults('D10');
    } catch (thrown) {
      channel.shut();
      throw thrown;
    }
  }

  /** Journals what Prepare is going to answer, so that a repeated Prepare gets the same (I9). */
  keepAnswer(prepareAnswer: NonNullable<IncomingJournal['prepareAnswer']>): Promise<void> {
    return this.#document.write({ prepareAnswer });
  }

  /** Goes on after a restart of the agent from what is on disk. */
  async recover(): Promise<void> {
    const { domain } = this.journal;
    if (domain === null) return;
    this.#restarted = true;
    const status = await this.#context.guestHost.statuses.read(domain.uuid);
    const ours = status?.owner === 'destination' && status.migration?.nonce === this.journal.record.key.nonce;
    if (this.journal.concluded) {
      // Concluded, and not taken over yet when the earlier life of this agent ended.
      if (ours && this.journal.record.decision === 'committed') this.#handover.begin(domain.uuid, () => undefined);
      if (await this.#waitsForHandover(domain.uuid)) this.#handover.begin(domain.uuid, () => this.#forgetArrival(domain.uuid));
      return;
    }
    if (ours) {
      // Until its monitor answers it is taken for what it may be: a silent QEMU with a complete image.
      this.#found = status.process;
      await this.#findAgain(status);
    }
    this.live.enter('prepare', 'destination');
    if (isFinal(this.journal.record)) await this.#conclude(this.journal.record);
    else await this.migration.recover();
  }

  /** A QEMU whose monitor is silent keeps nobody waiting: it is looked for again until it answers or has ended. */
  async #findAgain(status: DomainStatus): Promise<void> {
    const { guestHost, clock, timers } = this.#context;
    try {
      const guest = await findGuest(guestHost, status);
      if (guest !== null) this.own(guest);
    } catch (error) {
      this.log.warn('QEMU does not answer its monitor; it is asked again', { pid: status.process.pid, error });
      clock.after(timers.retryMs, () => void this.#findAgain(status));
    }
  }

  /** Before this life of the agent takes any request: an earlier one may have ended while it was about to start QEMU. */
  async forgetUnstarted(): Promise<void> {
    const { domain, concluded } = this.journal;
    if (domain === null || concluded || this.offline) return;
    const { guestHost } = this.#context;
    if ((await guestHost.statuses.read(domain.uuid)) !== null) return;
    await disposeUnstarted(guestHost, parseDomain(domain.xml), { migrated: true });
  }

  /** Prepare failed half-way: the record becomes `aborted`, and everything is given back before the error is told. */
  async failPrepare(error: VmferryError): Promise<void> {
    this.#error = error;
    await this.migration.dispatch({ t: 'abort-wanted', reason: error.message });
    await this.migration.concluded();
  }

  /**
   * Protocol v2: the source agent says who it is. The same word again is no other source; a decided record stays as it is, and its answer
   * tells. Throws `step-mismatch`, `migration-aborted`.
   */
  async bind(binding: Binding): Promise<void> {
    await this.migration.dispatch({ t: 'bind', binding });
    const { record } = this.migration;
    if (record.decision !== 'open' || isBoundBy(record, binding)) return;
    const { id } = record.key;
    if (isBound(record)) {
      throw new VmferryError('step-mismatch', `The record of migration ${id} is bound by another cookie; choose another nonce.`, {
        data: { step: 'bind' },
      });
    }
    throw new VmferryError(
      'migration-aborted',
      `The migration ${id} is ending on the destination already, and takes no source any more.`,
    );
  }

  /**
   * Finish with the right permit: before the guest may run, the configuration is kept (S13), and its interfaces go online. Resolves when the record is decided, or kept open
   * by a hold, or the signal aborts. Throws `persist-failed` or `network-unavailable`; nothing is committed then, and the hold rule has begun.
   */
  async finish(permit: Permit, signal: AbortSignal): Promise<void> {
    this.live.enter('finish', 'destination');
    if (this.migration.record.decision === 'open') await this.#readyBefore(signal);
    // Of an offline migration what is kept is all there is, and the permit of its source says the same.
    if (this.offline) await this.migration.dispatch({ t: 'qemu-loaded' });
    await this.migration.dispatch({ t: 'finish', permit });
    await this.migration.untilDecidedOrHeld(signal);
    if (isFinal(this.migration.record)) await Promise.race([this.#kept, this.migration.concluded()]);
  }

  async #readyBefore(signal: AbortSignal): Promise<void> {
    let what = 'the configuration could not be kept';
    try {
      await this.#refuseOccupied();
      await this.#persistence.keep();
      what = 'its interfaces could not go online';
      if (this.#guest !== null) await this.#context.guestHost.network.goOnline(this.#guest.definition);
    } catch (thrown) {
      const error = VmferryError.from(thrown).at({ side: 'destination', phase: 'finish' });
      this.#error ??= error;
      this.log.error(`${what}; the migration is to be aborted`, { error });
      await this.wantAbort(what, signal);
      throw error;
    }
  }

  /**
   * Of an offline migration nothing stands for its domain here since Prepare: a start that was let in before its note of arrival was there is
   * seen now at the latest. Throws what Prepare throws.
   */
  async #refuseOccupied(): Promise<void> {
    const { domain, record } = this.journal;
    if (this.offline && domain !== null) await refuseDuplicate(this.#context, record.key, parseDomain(domain.xml));
  }

  /** Finish(cancelled), an abort-unless-committed question, a lost session: the wish starts the hold rule. */
  async wantAbort(reason: string, signal: AbortSignal): Promise<void> {
    await this.migration.wantAbort(reason);
    await this.migration.untilDecidedOrHeld(signal);
  }

  /** Resolves when nothing is left of an aborted migration; what cannot be given back is logged and tried again by the machine's shell. */
  async tornDown(): Promise<void> {
    await this.migration.concluded().catch(() => undefined);
  }

  /** Waits up to `ms` for the adoption by the host's source-agent. */
  handedOver(ms: number): Promise<boolean> {
    return this.#handover.within(ms);
  }

  /** Answers when the host's source-agent has taken over what this agent hands over to it, or after `handoverWaitMs`. */
  async acknowledge(handoverWaitMs: number): Promise<void> {
    if (!isFinal(this.migration.record)) this.#abort('migration-cancelled', 'the source let the migration go');
    if (!this.journal.acknowledged) await this.#document.write({ acknowledged: true });
    // The acknowledgement is taken whether that succeeds or not.
    await this.tornDown();
    if (this.#handover.begun) await this.handedOver(handoverWaitMs);
  }

  resumedMsAgo(): number | null {
    return this.#msAgo(this.#resumedAtMs);
  }

  /** Answers when the guest has been announced, or could not be, or after `ms`. */
  announced(ms: number): Promise<void> {
    const announcing = this.#announcing ?? Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#context.clock.after(ms, resolve);
      void announcing.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  /** Null while it was not announced, and for a guest without interfaces. */
  announcedMsAgo(): number | null {
    return this.#msAgo(this.#announcedAtMs);
  }

  #msAgo(atMs: number | null): number | null {
    return atMs === null ? null : this.#context.clock.monotonicMs() - atMs;
  }

  outcome(): OutcomeReply {
    const { record } = this.migration;
    return {
      answer: this.migration.answer,
      storeId: this.#context.host.storeId,
      lockState: record.decision === 'aborted' ? record.lease : null,
      reason: record.reason,
      held: this.migration.held?.reason ?? null,
      resumedMsAgo: this.resumedMsAgo(),
      announcedMsAgo: this.announcedMsAgo(),
      guestHere: null,
    };
  }

  /** The domain that Finish tells of (S26). */
  domain(): FinishReply['domain'] {
    const { domain, record } = this.journal;
    if (domain === null) return null;
    if (this.offline) return { uuid: domain.uuid, name: domain.name, state: 'shutoff', reason: 'unknown' };
    const paused = record.mode === 'paused';
    return { uuid: domain.uuid, name: domain.name, state: paused ? 'paused' : 'running', reason: paused ? 'user' : 'migrated' };
  }

  /** The first thing that went wrong here, for the problem documents of the steps. */
  get error(): VmferryError | null {
    return this.#error;
  }

  #tell(state: DestinationState): void {
    this.live.update(
      isFinal(state.record) && this.journal.concluded ? 'done' : 'phase',
      resourceOf(this.#context, this.journal, this.migration, this.#error),
    );
  }

  async #streaming(): Promise<void> {
    await this.#context.faults('D11');
    this.#watch?.streaming();
    this.live.enter('perform', 'destination');
  }

  async #loaded(): Promise<void> {
    await this.#context.faults('D12');
    if ((await this.#look()) === 'loaded') {
      this.#watch?.loaded();
      // While the source journals its permit; Finish looks again, and tells what is wrong.
      this.#persistence
        .foresee()
        .catch((error: unknown) => this.log.warn('the configuration that is to be replaced cannot be journalled yet', { error }));
      await this.migration.dispatch({ t: 'qemu-loaded' });
    }
  }

  /** The event has no reason, and QEMU ends: it is in its log. */
  async #explainFailure(guest: Guest): Promise<void> {
    const said = await this.#saidBy(guest);
    this.#failStream('stream-failed', `QEMU could not read the stream${said === '' ? '' : `; its log says: ${said}`}`);
  }

  /** What of its log, which goes on from one QEMU of a guest to the next, this one has written. */
  async #saidBy(guest: Guest): Promise<string> {
    const lines = (await guest.logTail()).split('\n');
    return lines.filter((line) => line.slice(0, isoMsChars) >= this.journal.createdAt).join(' ');
  }

  #failStream(code: 'stream-failed' | 'stream-silent', detail: string): void {
    this.#abort(code, detail);
  }

  #abort(
    code: 'stream-failed' | 'stream-silent' | 'session-lost' | 'migration-cancelled' | 'migration-timeout',
    detail: string,
  ): void {
    const name = this.journal.domain?.name ?? this.journal.record.key.id;
    this.#error ??= new VmferryError(code, `The incoming migration of ${name}: ${detail}.`, { side: 'destination' });
    this.log.warn('the migration is to be aborted', { reason: detail });
    // A record that cannot be written is logged by the machine's shell and tried again there.
    this.migration.wantAbort(detail).catch((error: unknown) => this.log.error('the wish to abort could not be taken', { error }));
  }

  async #explainExit(guest: Guest, at: Date): Promise<void> {
    const tail = (await guest.logTail()).trim();
    const error = new VmferryError(
      'stream-failed',
      `QEMU on the destination ended before the guest was handed over. Its log ends with: ${tail}`,
      {
        side: 'destination',
      },
    );
    if (this.#error === null) this.#error = error;
    else this.#error.suppress(error, at);
  }

  async #cont(): Promise<'ok' | 'refused' | 'unanswered'> {
    if (this.#guest === null) return 'unanswered';
    try {
      await this.#guest.qmp.execute('cont', {}, { deadlineMs: contDeadlineMs });
      return 'ok';
    } catch (thrown) {
      this.log.error('QEMU did not run the guest', { error: thrown });
      this.#error ??= VmferryError.from(thrown);
      return VmferryError.is(thrown, 'monitor-failed') ? 'refused' : 'unanswered';
    }
  }

  async #look(): Promise<IncomingQemu> {
    const guest = this.#guest;
    if (guest === null) return this.#found !== null && isSameProcess(this.#found) ? 'silent' : 'gone';
    if (!guest.alive) return 'gone';
    try {
      const state = await incomingStateOf(guest.qmp, lookDeadlineMs);
      // Before `committing` there was no `cont`: what looks like having run is what the guest arrived as, switched off for one.
      return state === 'resumed' && this.migration.record.decision === 'open' ? 'loaded' : state;
    } catch {
      // A monitor that broke off is the end of QEMU, or will be told by its exit; one that only is silent may hold an image.
      return guest.alive ? 'silent' : 'gone';
    }
  }

  async #kill(): Promise<void> {
    if (this.#restarted && this.journal.transport === 'tunnelled')
      await IncomingStream.abandon(this.#context, this.journal.record.key.id);
    await this.#stream?.close();
    if (this.#guest !== null) await this.#guest.kill();
    else if (this.#found !== null) await killProcess(this.#found);
  }

  /** The last look before `cont` (rule 3): the record on disk, this process's lock, and QEMU's identity. */
  async #stillMine(): Promise<boolean> {
    const onDisk = await this.#context.journals.read(keyName(this.journal.record.key));
    return onDisk?.record.decision === 'committing' && this.#context.holdsLock() && this.#guest?.alive === true;
  }

  /** The same of an offline migration, before `committed`: the configuration is there, also when somebody has removed it since. */
  async #stillKept(): Promise<boolean> {
    await this.#persistence.ensure();
    const onDisk = await this.#context.journals.read(keyName(this.journal.record.key));
    return onDisk?.record.decision === 'committing' && this.#context.holdsLock();
  }

  async #conclude(record: OutcomeRecord): Promise<void> {
    this.#untieSession();
    await this.#starting;
    this.#watch?.stop();
    this.#patience?.cancel();
    if (record.decision === 'committed') await this.#concludeCommitted(record);
    else await this.#giveBack(record);
    if (this.journal.domain !== null && !hasArrivedOffline(this.journal))
      await this.#context.arrivals.remove(this.journal.domain.uuid);
    await this.#document.write({ concluded: true, finishedAt: this.#context.clock.wall().toISOString() });
    this.#tell(this.migration.state);
    this.#context.metrics.ended(this.live.value);
  }

  async #concludeCommitted(record: OutcomeRecord): Promise<void> {
    const { domain } = this.journal;
    if (domain === null) return;
    // Of an offline migration the record has committed only after the definition was seen in its place; it may have gone on since.
    if (!this.offline) await this.#persistence.settle();
    await this.#context.faults('D18');
    this.#keep();
    const paused = record.mode === 'paused';
    if (this.#guest !== null) {
      await this.#guest.update({
        state: paused ? 'paused' : 'running',
        reason: paused ? 'user' : 'migrated',
      });
    }
    this.events.committed(record.mode);
    if (this.#guest !== null) {
      // That it resumed may have been seen by an earlier life of this agent.
      if (!paused) await this.#announce(this.#guest);
      await this.#dropCredentials(this.#guest);
    }
    this.#stream?.release();
    this.#handover.begin(domain.uuid, () => (this.offline ? this.#forgetArrival(domain.uuid) : this.#guest?.handOver()));
  }

  /** Once, as soon as the guest runs, so that switches learn its new port; what goes wrong with it changes nothing else. */
  #announce(guest: Guest): Promise<void> {
    const announce = async () => {
      if (await guest.announce()) this.#announcedAtMs = this.#context.clock.monotonicMs();
    };
    this.#announcing ??= announce().catch((error: unknown) => this.log.warn('the guest could not be announced', { error }));
    return this.#announcing;
  }

  /** Whoever has the guest next sets what it needs; a QEMU should not keep a key that it does not need. */
  async #dropCredentials({ qmp }: Guest): Promise<void> {
    if (!wantsTls(this.journal.flags)) return;
    const unclear = (error: unknown) => this.log.warn('QEMU keeps the certificates of its migration', { error });
    await clearMigrationTls(qmp).catch(unclear);
  }

  /** Concluded in an earlier life of this agent, and the source-agent of this host has not said yet that it knows the definition. */
  async #waitsForHandover(uuid: string): Promise<boolean> {
    if (!hasArrivedOffline(this.journal)) return false;
    return (await this.#context.arrivals.read(uuid))?.nonce === this.journal.record.key.nonce;
  }

  async #forgetArrival(uuid: string): Promise<void> {
    await this.#context.arrivals.remove(uuid);
  }

  /** Aborted or unknown: QEMU's exit is proven, then everything it held here is given back. The source's files keep their labels. */
  async #giveBack(record: OutcomeRecord): Promise<void> {
    const { domain } = this.journal;
    if (domain === null) return;
    await this.#explainHandshake(domain.name);
    await this.#kill();
    await this.#giveBackHoldings(domain);
    this.events.ended(this.#endedAs);
    // Whose guest may have run here keeps its configuration: a person decides about it.
    if (record.decision === 'aborted') await this.#persistence.putBack();
  }

  /** QEMU tells its log alone what it has against a certificate, and waits for another connection. It came before what gave the migration up. */
  async #explainHandshake(name: string): Promise<void> {
    if (this.#guest === null || !wantsTls(this.journal.flags) || this.live.value.phase !== 'prepare') return;
    const said = await this.#saidBy(this.#guest);
    if (said === '' || this.#error?.code === 'stream-failed') return;
    const detail = `The incoming migration of ${name} did not get through QEMU's TLS; its log says: ${said}`;
    const error = new VmferryError('stream-failed', detail, { side: 'destination' });
    if (this.#error !== null) error.suppress(this.#error, this.#context.clock.wall());
    this.#error = error;
  }

  async #giveBackHoldings(domain: NonNullable<IncomingJournal['domain']>): Promise<void> {
    const definition = parseDomain(domain.xml);
    const status = this.#guest?.status ?? (await this.#context.guestHost.statuses.read(domain.uuid));
    if (status?.migration?.nonce !== this.journal.record.key.nonce) return;
    await this.#auditEnd(definition, status.process.pid);
    if (this.#guest !== null) await this.#guest.dispose({ migrated: true });
    else await disposeHoldings(this.#context.guestHost, definition, status, { migrated: true });
    this.#guest = null;
  }

  /**
   * I7: the stop is audited once; a start that an earlier life of this agent did not come to audit is made up for. In this life a start without
   * its record is one that failed, and was audited as that.
   */
  async #auditEnd(definition: DomainDefinition, pid: number): Promise<void> {
    const { auditor, guestHost } = this.#context;
    const domain = auditedOf(definition, pid, guestHost.security);
    const last = await auditor.lastControl(domain.uuid, pid);
    if (last === 'stop' || (last === null && !this.#restarted)) return;
    if (last === null) await auditor.domainStart(domain, 'recovered', true);
    await auditor.domainStop(domain, this.#endedAs);
  }

  /** A client that went away is libvirt's autodestroy (S18). */
  get #endedAs(): 'destroyed' | 'failed' {
    return this.#error?.code === 'session-lost' ? 'destroyed' : 'failed';
  }
}
