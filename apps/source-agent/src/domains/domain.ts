import { isDeepStrictEqual } from 'node:util';
import type { DomainResource } from '@vmferry/api';
import type { AuditReason } from '@vmferry/audit';
import {
  type DomainDefinition,
  displayListenOf,
  eventsBetween,
  graphicsOf,
  type LifecycleEvent,
  parseDomain,
  parseState,
  type StateWithReason,
} from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import { auditedOf, disposeHoldings, type Guest, resourcesOf } from '@vmferry/guest';
import type { DomainStatus, Taint } from '@vmferry/host-state';
import { isSameProcess, type ProcessIdentity } from '@vmferry/hypervisor';
import { DomainJobs } from '@vmferry/jobs';
import type { Timer } from '@vmferry/seams';
import type { SourceContext } from '../context.js';

/** What a migration that has this domain in hand is told and asked. */
export interface DomainMigration {
  readonly id: string;
  /** It is offline and not over: the definition has to stay as it is. */
  readonly movesDefinition: boolean;
  /** Asks to cancel; throws `past-point-of-no-return` when the destination has committed. */
  cancel(by: string): Promise<void>;
  /** QEMU's exit is proven. True when the migration sees to what the guest held here. */
  guestGone(): Promise<boolean>;
  /** The guest has switched itself off or has panicked, and its QEMU stands still: there is nothing to hand over. */
  guestFell(): Promise<void>;
  /** A user's destroy. Resolves when the guest here may be ended by the ordinary way; throws when it runs elsewhere. */
  destroy(): Promise<void>;
}

/** A save or a dump that has this domain in hand. */
export interface AbortableJob {
  /** Asks that it end without its aim; that it has is told by the job. */
  cancel(by: string): void;
}

/** Statuses in which QEMU itself has stopped the guest, which may be let go on; with the reason that each is of a pause. */
const ownStops: Readonly<Record<string, 'ioerror' | 'watchdog' | 'unknown'>> = {
  'io-error': 'ioerror',
  'watchdog': 'watchdog',
  'internal-error': 'unknown',
};

interface Tidying {
  readonly migrated: boolean;
  readonly state: StateWithReason;
  /** Null for a guest whose start has failed: that is audited as such, and it never came to be one that stops. */
  readonly audit: AuditReason | null;
}

/**
 * One domain of this host: its persistent configuration, when it has one, and its guest, when it is active. Every change of state
 * goes through here, so that status document, audit, events and resource agree.
 */
export class Domain {
  readonly uuid: string;
  readonly jobs: DomainJobs;
  readonly #context: SourceContext;
  readonly #forget: (domain: Domain) => void;
  #config: string | null;
  #definition: DomainDefinition;
  #guest: Guest | null = null;
  /** The process of a guest whose monitor has not answered since the agent was started. */
  #silent: ProcessIdentity | null = null;
  #inactive: StateWithReason = { state: 'shutoff', reason: 'unknown' };
  /** The state that the lifecycle events have told of last. */
  #told: StateWithReason = this.#inactive;
  #migration: DomainMigration | null = null;
  #fileJob: AbortableJob | null = null;
  /** How the guest has brought itself to a stand. A migration that QEMU completes afterwards hides it from QEMU's status. */
  #fallen: 'shutdown' | 'guest-panicked' | null = null;
  /** The migration that had it in hand last and is over; the status document may name it still. */
  #over: string | null = null;
  /** Of a guest that has ended while nobody knew what its migration had come to: it stays until a person decides. */
  #undecidedEnd: DomainStatus | null = null;
  /** By which migration its definition was leaving, when the journal of that cannot be read. */
  #leavingBy: { readonly id: string } | null = null;
  /** Where its status document was set aside: whether its QEMU runs is not known. */
  #unreadable: string | null = null;
  /** Why QEMU is about to end, when this agent ends it. */
  #ending: Omit<Tidying, 'migrated'> | null = null;
  #warning: string | null = null;
  /** What is true of the guest for all its life. */
  #caveat: string | null = null;
  /** Unties the guest from its control session; null for a guest that is tied to none. */
  #untie: (() => void) | null = null;
  #gone: Promise<void> = Promise.resolve();
  #tidying: Promise<void> | null = null;
  /** What it is once what it held here is given back; set while that has to be tried again. */
  #ended: StateWithReason | null = null;
  #again: Timer | null = null;
  /** The process whose stop was audited last: what follows the audit may have to be tried again, and the audit not (I7). */
  #stopAudited: ProcessIdentity | null = null;

  constructor(
    context: SourceContext,
    xml: { readonly config: string | null; readonly live: string | null },
    forget: (domain: Domain) => void,
  ) {
    this.#context = context;
    this.#config = xml.config;
    this.#forget = forget;
    this.#definition = parseDomain(xml.live ?? xml.config ?? '');
    this.uuid = this.#definition.uuid;
    this.jobs = new DomainJobs({ clock: context.clock, domain: this.#definition.name });
    this.jobs.setGuestAlive(false);
  }

  get name(): string {
    return this.#definition.name;
  }

  get definition(): DomainDefinition {
    return this.#definition;
  }

  /** The configuration that outlives the guest; null for a transient domain. */
  get config(): string | null {
    return this.#config;
  }

  get guest(): Guest | null {
    return this.#guest;
  }

  get migration(): DomainMigration | null {
    return this.#migration;
  }

  /**
   * What decides whether the guest may run here: the migration that has it in hand, or one that only its status document names, because the
   * journal of that cannot be read. Of such a one nobody here knows whether the guest runs on its destination.
   */
  get undecided(): { readonly id: string } | null {
    if (this.#migration !== null) return this.#migration;
    const migration = (this.#guest?.status ?? this.#undecidedEnd)?.migration;
    return migration?.role === 'source' && migration.id !== this.#over ? migration : this.#leavingBy;
  }

  /** Whether nobody may change the definition or remove it, because it is, or may be, another host's. */
  get movesDefinition(): boolean {
    return this.#migration?.movesDefinition ?? this.#leavingBy !== null;
  }

  /** Its note says that the definition was leaving, and the journal of that migration waits to be mended. */
  markLeaving(migration: { readonly id: string }): void {
    this.#leavingBy = migration;
  }

  /** Nobody has the migration in hand that its status document names. */
  get #orphaned(): boolean {
    return this.#migration === null && this.undecided !== null;
  }

  /** Throws `in-doubt` when only the outcome of a migration may run the guest. */
  refuseUndecided(): void {
    if (this.undecided === null) return;
    const migrationId = this.undecided.id;
    const detail = `The migration ${migrationId} of domain ${this.name} is not decided yet: only its outcome may run the guest.`;
    throw new VmferryError('in-doubt', [detail, this.#doubt()].filter((words) => words !== null).join(' '), {
      data: { migrationId },
    });
  }

  /** The guest has ended, and whether another copy of it runs on is not known: its status document stays, so that nothing is started. */
  keepUndecided(status: DomainStatus): void {
    this.#undecidedEnd = status;
  }

  /** True when `giveUpUndecided` is what a destroy means. */
  get endedUndecided(): boolean {
    return this.#undecidedEnd !== null || this.#leavingBy !== null;
  }

  /** The user's destroy of what has ended already: from now on the domain may be started. Its files keep their labels (A8). */
  async giveUpUndecided(): Promise<void> {
    const status = this.#undecidedEnd;
    if (this.#leavingBy !== null) await this.#context.leaving.remove(this.uuid);
    this.#leavingBy = null;
    if (status === null) return;
    const { guestHost, locks } = this.#context;
    const definition = parseDomain(status.domainXml);
    await this.auditStop(definition, status.process, 'destroyed');
    await locks.release(this.uuid, resourcesOf(this.uuid)).catch(() => undefined);
    await disposeHoldings(guestHost, definition, status, { migrated: true });
    this.#undecidedEnd = null;
    this.#inactive = { state: 'shutoff', reason: 'destroyed' };
    this.#forgetIfNothing();
  }

  /** The status document of this domain was found set aside at `path`. */
  markUnreadable(path: string): void {
    this.#unreadable = path;
  }

  get state(): StateWithReason {
    if (this.#ended !== null) return this.#ended;
    return this.#guest === null ? this.#inactive : parseState(this.#guest.status.state, this.#guest.status.reason);
  }

  /** A fresh look at the guest's process, whether its monitor answers or not. */
  get hasProcess(): boolean {
    const process = this.#guest?.status.process ?? this.#silent;
    return process !== null && process !== undefined && isSameProcess(process);
  }

  /** The guest lives and does not answer its monitor: nothing can be done with it, and nothing may be started beside it. */
  markSilent(process: ProcessIdentity, why: VmferryError): void {
    this.#silent = process;
    this.#warning = isSameProcess(process)
      ? `QEMU (pid ${process.pid}) does not answer its monitor; it is asked again.`
      : endUnrecorded(why);
  }

  markFound(): void {
    this.#silent = null;
    this.#warning = null;
  }

  /** Throws `domain-not-running`. */
  activeGuest(): Guest {
    if (this.#guest?.alive) return this.#guest;
    throw new VmferryError('domain-not-running', `The domain ${this.name} is not active.`);
  }

  setConfig(config: string | null): void {
    this.#config = config;
    if (this.#guest === null && config !== null) this.#definition = parseDomain(config);
    this.#forgetIfNothing();
  }

  /** The configuration was written or removed durably by whoever may do that: it is in force, and told. */
  redefine(config: string | null): void {
    const event: LifecycleEvent =
      config === null
        ? { event: 'undefined', detail: 'removed' }
        : { event: 'defined', detail: this.#config === null ? 'added' : 'updated' };
    this.#context.events.emit(this, event);
    this.setConfig(config);
  }

  setMigration(migration: DomainMigration | null): void {
    if (migration === null) this.#over = this.#migration?.id ?? this.#over;
    this.#migration = migration;
    this.#forgetIfNothing();
  }

  get fileJob(): AbortableJob | null {
    return this.#fileJob;
  }

  setFileJob(job: AbortableJob | null): void {
    this.#fileJob = job;
  }

  /** A domain is something: a configuration, a guest, or what a migration has in hand. */
  #forgetIfNothing(): void {
    if (this.#config === null && this.#guest === null && this.undecided === null) this.#forget(this);
  }

  warn(warning: string | null): void {
    this.#warning = warning;
  }

  /** Says of the guest what stays true as long as it lives. */
  caution(caveat: string | null): void {
    this.#caveat = caveat;
  }

  /** The guest ends with a control session (A6); `untie` is called when it has ended otherwise. */
  tie(untie: () => void): void {
    this.#untie = untie;
  }

  get autodestroy(): boolean {
    return this.#untie !== null;
  }

  /** Durable before what taints it is done. */
  async taint(taint: Taint): Promise<void> {
    const guest = this.activeGuest();
    const { tainted } = guest.status;
    if (!tainted.includes(taint)) await guest.update({ tainted: [...tainted, taint] });
  }

  /** Takes a guest that was started, found again or adopted, and follows it from now on. */
  attach(guest: Guest): void {
    this.#guest = guest;
    this.#unreadable = null;
    this.#definition = guest.definition;
    this.#ending = null;
    this.#fallen = null;
    this.jobs.setGuestAlive(true);
    // A shutdown that is not the guest's own is this host's: QEMU is being ended.
    guest.qmp.on('SHUTDOWN', ({ data }) => this.#inBackground(this.#fell(data.guest ? 'shutdown' : null)));
    guest.qmp.on('GUEST_PANICKED', () => this.#inBackground(this.#fell('guest-panicked')));
    guest.qmp.on('STOP', () => this.#inBackground(this.#stopped(guest)));
    this.#gone = guest.exited.then(() => this.#exited(guest));
    this.#inBackground(this.#gone);
  }

  /** Tells of what has changed since it was told last; once the change is durable. */
  tell(): void {
    const { state } = this;
    const panicked = this.#ending?.state.reason === 'crashed';
    const events = eventsBetween(this.#told, state, { panicked });
    this.#told = state;
    for (const event of events) this.#context.events.emit(this, event);
  }

  /** The state was told before: by an earlier life of this agent, or by the destination-agent that the guest came in through. */
  takeAsTold(): void {
    this.#told = this.state;
  }

  /** The guest has ended while no agent was there to see it; `before` is what its status document still said. */
  foundEnded(before: StateWithReason, now: StateWithReason): void {
    this.#told = before;
    this.#inactive = now;
    this.tell();
  }

  /** Whether the guest has switched itself off or has panicked, so that letting it go on would run nothing. */
  get hasFallen(): boolean {
    return this.#fallen !== null;
  }

  async #fell(how: 'shutdown' | 'guest-panicked' | null): Promise<void> {
    this.#fallen = how ?? this.#fallen;
    if (how !== null) await this.#migration?.guestFell();
    await this.reconcile();
  }

  /**
   * Acts on the STOP of QEMU's own alone: whoever has asked for a `stop` tells of it, and a guest that has fallen is told of by its own event.
   */
  async #stopped(guest: Guest): Promise<void> {
    if (this.undecided !== null || this.#fallen !== null) return;
    const { status } = await guest.qmp.execute('query-status', {});
    if (ownStops[status] === undefined) return;
    this.#context.log.warn('QEMU has stopped the guest by itself', { domain: this.name, status });
    await this.reconcile();
  }

  /**
   * Makes the state what QEMU's status says: after a restart of the agent, after a migration, when QEMU has stopped the guest by itself,
   * and when the guest powers off or panics, which leaves a stopped QEMU. While a migration has the domain in hand, it alone acts on a QEMU
   * that stands still.
   */
  async reconcile(): Promise<void> {
    const guest = this.#guest;
    if (guest === null || !guest.alive || this.undecided !== null) return;
    const status = this.#fallen ?? (await guest.qmp.execute('query-status', {})).status;
    const { state } = this.state;
    if (status === 'shutdown') return this.#poweredOff(guest);
    if (status === 'guest-panicked') return this.end({ state: 'shutoff', reason: 'crashed' }, 'crashed');
    if (status === 'running' && state !== 'running') return this.setState({ state: 'running', reason: 'unpaused' });
    if (status !== 'running' && state === 'running')
      return this.setState({ state: 'paused', reason: ownStops[status] ?? 'unknown' });
  }

  /** Writes the state of an active domain; durable before it is told. */
  async setState(state: StateWithReason): Promise<void> {
    await this.activeGuest().update(state);
    this.tell();
  }

  /** Ends QEMU for `reason`; resolves when its exit is proven and what it held here is given back. */
  async end(state: StateWithReason, audit: AuditReason | null): Promise<void> {
    const guest = this.#guest;
    if (guest === null) return;
    this.#ending = { state, audit };
    await guest.kill();
    await this.#gone;
  }

  /**
   * What a guest held here is given back: by its exit or by the migration that had it in hand, whoever comes first, and once. An end
   * that this agent has brought about keeps its own reason.
   */
  tidy(o: Tidying): Promise<void> {
    this.#tidying ??= this.#tidyUp({ ...o, ...this.#ending })
      .catch((thrown: unknown) => {
        this.#tidyAgain(o, VmferryError.from(thrown));
        throw thrown;
      })
      .finally(() => {
        this.#tidying = null;
      });
    return this.#tidying;
  }

  /** A guest that is gone is not given up: its end is recorded as soon as that can be, whoever has asked for it and was told that it cannot. */
  #tidyAgain(o: Tidying, why: VmferryError): void {
    this.#ended = this.#ending?.state ?? o.state;
    this.#warning = endUnrecorded(why);
    this.#again ??= this.#context.clock.after(this.#context.retryMs, () => {
      this.#again = null;
      this.#inBackground(this.tidy(o));
    });
  }

  /** Once for each process, also when what follows has to be tried again. */
  async auditStop(definition: DomainDefinition, process: ProcessIdentity, reason: AuditReason): Promise<void> {
    if (isDeepStrictEqual(this.#stopAudited, process)) return;
    await this.#context.auditor.domainStop(auditedOf(definition, process.pid), reason);
    this.#stopAudited = process;
  }

  async #tidyUp(o: Tidying): Promise<void> {
    const guest = this.#guest;
    if (guest === null) return;
    const { locks, log } = this.#context;
    if (o.audit !== null) await this.auditStop(guest.definition, guest.status.process, o.audit);
    // A lease that cannot be freed now is freed by whoever takes it with its epoch; the guest is gone either way.
    await locks
      .release(this.uuid, resourcesOf(this.uuid))
      .catch((error: unknown) => log.warn('the lease could not be released', { error }));
    await guest.dispose({ migrated: o.migrated });
    this.#untie?.();
    this.#untie = null;
    this.#caveat = null;
    this.#guest = null;
    if (this.#ended !== null) this.#warning = null;
    this.#ended = null;
    this.#inactive = o.state;
    this.tell();
    if (this.#config !== null) this.#definition = parseDomain(this.#config);
    this.#forgetIfNothing();
  }

  toResource(): DomainResource {
    const { state, reason } = this.state;
    const job = this.jobs.state.async;
    return {
      uuid: this.uuid,
      name: this.name,
      type: this.#definition.type,
      persistent: this.#config !== null,
      state,
      reason,
      memoryKib: this.#definition.memoryKib,
      vcpus: this.#definition.vcpus,
      pid: this.#guest?.alive ? this.#guest.status.process.pid : null,
      display: this.#guest?.alive ? displayOf(this.#guest.definition) : null,
      job:
        job === null
          ? null
          : {
              kind: job.kind,
              phase: job.phase,
              startedAt: job.startedAt.toISOString(),
              elapsedMs: Math.round(this.#context.clock.monotonicMs() - job.sinceMs),
            },
      migrationId: this.#migration?.id ?? null,
      autodestroy: this.autodestroy,
      managedSave: this.#context.managedImages.has(this.uuid),
      tainted: [...(this.#guest?.status.tainted ?? [])],
      labels: this.#guest?.alive ? [...this.#guest.labels] : [],
      warning: [this.#warning, this.#caveat, this.#doubt()].filter((words) => words !== null).join(' ') || null,
    };
  }

  /** What a person has to know and to do before the guest can run here. */
  #doubt(): string | null {
    if (this.#unreadable !== null) {
      return `Its status document cannot be read and is kept as ${this.#unreadable}: whether its QEMU runs on this host is not known, and it is not started. Mend it, rename it back and restart the agent; or see that no QEMU of it runs, and remove it.`;
    }
    if (!this.#orphaned) return null;
    return `The journal of migration ${this.undecided?.id} cannot be read: whether the guest runs on its destination is not known, and it is not run here. Mend the journal, rename it back and restart the agent; or destroy the domain here, which does no harm to a guest that runs there, and ends one that does not.`;
  }

  async #poweredOff(guest: Guest): Promise<void> {
    if (guest.definition.onPoweroff !== 'restart') return this.end({ state: 'shutoff', reason: 'shutdown' }, 'shutdown');
    this.#fallen = null;
    await guest.qmp.execute('system_reset', {});
    await guest.qmp.execute('cont', {});
  }

  /** What cannot be tidied is logged; the status document stays for the next start of the agent. */
  #inBackground(work: Promise<void>): void {
    work.catch((error: unknown) =>
      this.#context.log.error('the state of a guest could not be followed', { domain: this.name, error }),
    );
  }

  async #exited(guest: Guest): Promise<void> {
    this.jobs.setGuestAlive(false);
    const inHand = (await this.#migration?.guestGone()) === true;
    if (this.#ending === null && inHand) return;
    // The migration that took it away has tidied up; another guest may be here since.
    if (this.#guest !== guest) return;
    if (this.#ending === null && this.#orphaned) return this.#endUndecided(guest);
    // It has not come to be a guest here: whoever restores it tells why.
    if (guest.status.file?.t === 'restoring')
      return this.tidy({ migrated: false, state: { state: 'shutoff', reason: 'failed' }, audit: null });
    await this.tidy({ migrated: this.#orphaned, state: { state: 'shutoff', reason: 'crashed' }, audit: 'crashed' });
    this.#context.log.info('the guest has ended', { domain: guest.definition.name, ...this.#inactive });
  }

  #endUndecided(guest: Guest): void {
    guest.qmp.close();
    this.#guest = null;
    this.#inactive = { state: 'shutoff', reason: 'crashed' };
    this.keepUndecided(guest.status);
    this.tell();
  }
}

function displayOf(definition: DomainDefinition): DomainResource['display'] {
  const graphics = graphicsOf(definition);
  if (graphics === undefined) return null;
  const { type, port, tlsPort } = graphics;
  return { type, listen: displayListenOf(graphics), port: port === -1 ? null : port, tlsPort: tlsPort === -1 ? null : tlsPort };
}

function endUnrecorded({ message }: VmferryError): string {
  return `Its QEMU has ended, and that could not be recorded yet: ${message} It is tried again.`;
}
