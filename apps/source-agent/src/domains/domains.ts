import { basename, dirname } from 'node:path';
import { type DomainDefinition, parseDomain, parseState } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import { caveatOf, disposeHoldings, type ForeignQemu, findGuest, removeUnstartedDevices } from '@vmferry/guest';
import type { DomainStatus } from '@vmferry/host-state';
import { keyName } from '@vmferry/migration';
import type { SourceContext } from '../context.js';
import { recoverFile } from '../saving/go-on.js';
import { discardPartial, isCommitted } from '../saving/image-target.js';
import { ownConfig, refuseArriving } from './arriving.js';
import { Domain, type DomainMigration } from './domain.js';
import { LeaseGuard } from './lease-guard.js';
import type { Lifecycle, StartWish } from './lifecycle.js';

/** The domains of this host that the source-agent owns. */
export class Domains {
  readonly #context: SourceContext;
  readonly #lifecycle: Lifecycle;
  readonly #byUuid = new Map<string, Domain>();
  readonly #leases: LeaseGuard;
  /** What waits for guests whose monitor is silent since the agent was started. */
  readonly #reached = new Map<string, () => void>();
  /** Names and uuids are given one at a time, so that each belongs to one domain. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(context: SourceContext, lifecycle: Lifecycle) {
    this.#context = context;
    this.#lifecycle = lifecycle;
    this.#leases = new LeaseGuard(context, (uuid) => this.byUuid(uuid));
  }

  /** Leases are no longer watched. */
  close(): void {
    this.#leases.close();
  }

  /** Reads what is on disk after a start: the configurations, and the guests that this agent owns and that still live. */
  async load(): Promise<void> {
    const { arrivals, configs, managedImages } = this.#context;
    await managedImages.load();
    const arriving = new Map((await arrivals.list()).map(({ name, value }) => [name, value]));
    for (const { name: uuid, value } of await configs.list()) {
      const config = await ownConfig(this.#context, value, arriving.get(uuid));
      if (config !== null) this.#add({ config, live: null });
    }
    for (const { definition } of this.list()) await this.#removeUnstarted(definition);
    for (const { value: status } of await this.#context.guestHost.statuses.list()) {
      if (status.owner === 'source') await this.#findAgain(status);
    }
    for (const path of await this.#context.guestHost.statuses.unreadable()) this.#tellUnreadable(path);
  }

  /** An earlier life of this agent may have ended while it was about to start QEMU. What cannot be removed gives way to the next start. */
  async #removeUnstarted(definition: DomainDefinition): Promise<void> {
    const { guestHost, log } = this.#context;
    await removeUnstartedDevices(guestHost, definition).catch((error: unknown) =>
      log.warn('network devices of a guest that does not run could not be removed', { uuid: definition.uuid, error }),
    );
  }

  /** Also of a file that an earlier life of the agent has set aside; of a transient domain the log alone can tell. */
  #tellUnreadable(path: string): void {
    const uuid = basename(dirname(path));
    this.#context.log.error('a status document waits to be mended: whether its guest runs is not known', { uuid, path });
    this.#byUuid.get(uuid)?.markUnreadable(path);
  }

  /** A QEMU whose monitor is silent keeps no other guest waiting: it is looked for again until it answers or has ended. */
  async #findAgain(status: DomainStatus): Promise<void> {
    const { clock, log, retryMs } = this.#context;
    try {
      const domain = await this.find(status);
      domain.markFound();
      this.#reached.get(status.uuid)?.();
      this.#reached.delete(status.uuid);
    } catch (error) {
      log.warn('a guest could not be found again yet; it is tried again', { uuid: status.uuid, pid: status.process.pid, error });
      this.#byUuid.get(status.uuid)?.markSilent(status.process, VmferryError.from(error));
      if (!this.#reached.has(status.uuid)) this.#reached.set(status.uuid, () => undefined);
      clock.after(retryMs, () => void this.#findAgain(status));
    }
  }

  /** Calls `act` now, or as soon as the guest of this domain has answered its monitor or has ended. */
  whenReached(uuid: string, act: () => void): void {
    const waiting = this.#reached.get(uuid);
    if (waiting === undefined) {
      act();
      return;
    }
    this.#reached.set(uuid, () => {
      waiting();
      act();
    });
  }

  list(): Domain[] {
    return [...this.#byUuid.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  byUuid(uuid: string): Domain | undefined {
    return this.#byUuid.get(uuid);
  }

  /** By name or uuid, as virsh takes either. Throws `domain-not-found`. */
  of(ref: string): Domain {
    const found = this.#byUuid.get(ref.toLowerCase()) ?? this.list().find(({ name }) => name === ref);
    if (found !== undefined) return found;
    throw new VmferryError('domain-not-found', `There is no domain ${JSON.stringify(ref)} on ${this.#context.host.hostName}.`);
  }

  /** The same for a migration: a domain that has come in and waits to be taken over is not unknown. Throws also `handover-pending`. */
  async ofOrArriving(ref: string): Promise<Domain> {
    // A configuration of it may be here while its guest arrives.
    const known = this.list().find((domain) => answersTo(domain, ref));
    if (known?.hasProcess !== true && known?.undecided == null) await this.#refuseArriving(ref);
    return this.of(ref);
  }

  async #refuseArriving(ref: string): Promise<void> {
    const { guestHost, incomingRecord, host } = this.#context;
    for (const { value: status } of await guestHost.statuses.list()) {
      if (!answersTo(status, ref)) continue;
      // One that is this agent's by its document already, and is not in its hands, is just being taken over.
      const { owner, migration } = status;
      if (owner === 'destination' && (migration === null || (await incomingRecord(migration))?.decision !== 'committed'))
        continue;
      const detail = `The domain ${ref} has just arrived on ${host.hostName} and is being taken over; try again.`;
      throw new VmferryError('handover-pending', detail);
    }
  }

  /** The same for an abort, which an incoming migration does not take (S16). Throws also `migration-live`. */
  async ofOrIncoming(ref: string): Promise<Domain> {
    const migration = await this.#incoming(ref);
    if (migration === null) return this.of(ref);
    throw new VmferryError(
      'migration-live',
      `The domain ${ref} is coming in by migration ${migration.id}, which cannot be aborted at its destination: cancel it, or destroy the domain, at its source.`,
      { data: { migrationId: migration.id } },
    );
  }

  /** The migration by which a domain is coming in, by its name or uuid: the destination-agent has it in hand. */
  async #incoming(ref: string): Promise<DomainStatus['migration']> {
    const statuses = await this.#context.guestHost.statuses.list();
    const found = statuses.find(({ value }) => value.owner === 'destination' && answersTo(value, ref));
    return found?.value.migration ?? null;
  }

  /** Makes a definition persistent; an existing domain of this name and uuid is updated. */
  async define(xml: string): Promise<Domain> {
    const definition = parseDomain(xml, { uuidIfMissing: this.#context.random.uuid() });
    const settled = await this.#lifecycle.settle(definition);
    return this.#inTurn(async () => {
      this.#refuseClash(definition.name, definition.uuid);
      await refuseArriving(this.#context, definition);
      refuseMoving(this.#byUuid.get(definition.uuid));
      await this.#context.configs.write(definition.uuid, settled);
      const domain = this.#byUuid.get(definition.uuid) ?? this.#add({ config: null, live: settled });
      domain.redefine(settled);
      return domain;
    });
  }

  /** A domain that is gone when its guest ends (virsh create). */
  async create(xml: string, wish: StartWish, principal: string): Promise<Domain> {
    const definition = parseDomain(xml, { uuidIfMissing: this.#context.random.uuid() });
    return this.#makeTransient(definition, (domain) => this.#lifecycle.start(domain, wish, principal));
  }

  /** The same for a guest that something else has started (virsh qemu-attach): it has a name and a uuid already. */
  async attach(xml: string, qemu: Pick<ForeignQemu, 'pid' | 'monitor'>, principal: string): Promise<Domain> {
    return this.#makeTransient(parseDomain(xml), (domain) => this.#lifecycle.attach(domain, qemu, principal));
  }

  /** The same for one that comes back from an image; it is the persistent domain of this uuid when there is one. */
  async revive(definition: DomainDefinition, principal: string, act: (domain: Domain) => Promise<void>): Promise<Domain> {
    const inJob = async (domain: Domain) => {
      const release = await domain.jobs.begin('modify', principal);
      try {
        if (domain.guest !== null) throw new VmferryError('domain-running', `The domain ${domain.name} is active already.`);
        if (this.#context.managedImages.has(domain.uuid)) {
          const detail = `The domain ${domain.name} has a managed image, from which it would be started a second time: start it, or remove the image.`;
          throw new VmferryError('managed-save-present', detail);
        }
        domain.refuseUndecided();
        await act(domain);
      } finally {
        await release();
      }
    };
    const known = this.#byUuid.get(definition.uuid);
    if (known === undefined) return this.#makeTransient(definition, inJob);
    this.#refuseClash(definition.name, definition.uuid);
    await inJob(known);
    return known;
  }

  /** The name and the uuid are taken while the guest is being made, and free again when that fails. */
  async #makeTransient(definition: DomainDefinition, make: (domain: Domain) => Promise<void>): Promise<Domain> {
    const { name, uuid } = definition;
    const live = await this.#lifecycle.settle(definition);
    const domain = await this.#inTurn(async () => {
      this.#refuseClash(name, uuid);
      await refuseArriving(this.#context, definition);
      if (this.#byUuid.has(uuid)) throw new VmferryError('domain-exists', `The domain ${uuid} exists already.`);
      return this.#add({ config: null, live });
    });
    try {
      await make(domain);
    } catch (thrown) {
      // One whose guest's end cannot be recorded yet is known until it can.
      if (domain.guest === null) this.#drop(domain);
      throw thrown;
    }
    return domain;
  }

  /**
   * The configuration is on disk and told of: the destination-agent of this host has brought it, by an offline migration. It may have been taken
   * before, and have left again since.
   */
  async takeDefinition(uuid: string, config: string, preparedAt: string): Promise<Domain> {
    return this.#inTurn(() => {
      const domain = this.#byUuid.get(uuid) ?? this.#add({ config, live: null });
      domain.setConfig(config);
      const { departures } = this.#context;
      if ((departures.get(uuid)?.createdAt ?? '') < preparedAt) departures.delete(uuid);
      return domain;
    });
  }

  async undefine(domain: Domain): Promise<void> {
    if (domain.config === null)
      throw new VmferryError('domain-not-found', `The domain ${domain.name} is transient: it has no configuration to remove.`);
    if (this.#context.managedImages.has(domain.uuid)) {
      const detail = `The domain ${domain.name} has a managed image, which nobody could use any more: start it, or remove the image.`;
      throw new VmferryError('managed-save-present', detail);
    }
    await this.#inTurn(() => {
      refuseMoving(domain);
      return this.#remove(domain);
    });
  }

  /** A migration has taken the definition away (UNDEFINE_SOURCE). */
  async undefineMoved(domain: Domain): Promise<void> {
    await this.#inTurn(() => this.#remove(domain));
  }

  async #remove(domain: Domain): Promise<void> {
    // Throws while a status document that cannot be read is kept: a guest that may run must not be forgotten.
    await this.#context.guestHost.statuses.read(domain.uuid);
    await this.#context.configs.remove(domain.uuid);
    domain.redefine(null);
  }

  /**
   * From now on the migration has the domain in hand. A definition that is just being written or removed is waited for: one that moves is the one that
   * Begin has read, `config`. Throws `migration-aborted`.
   */
  async putInHand(domain: Domain, migration: DomainMigration, config: string | null): Promise<void> {
    await this.#inTurn(() => {
      if (migration.movesDefinition && domain.config !== config) {
        const detail = `The definition of domain ${domain.name} was changed while its migration began; begin it anew.`;
        throw new VmferryError('migration-aborted', detail, { side: 'source', phase: 'begin' });
      }
      domain.setMigration(migration);
    });
  }

  /** Finds the guest of a status document again; one that has ended meanwhile is tidied up, and audited as found out after a restart. */
  async find(status: DomainStatus): Promise<Domain> {
    const config = await this.#context.configs.read(status.uuid);
    const domain = this.#byUuid.get(status.uuid) ?? this.#add({ config, live: status.domainXml });
    if (config !== null) domain.setConfig(config);
    const guest = await findGuest(this.#context.guestHost, status);
    if (guest !== null) {
      domain.attach(guest);
      this.#context.departures.delete(domain.uuid);
      domain.caution(await caveatOf(guest));
      domain.takeAsTold();
      if (status.migration === null) await domain.reconcile();
      if ((status.file ?? null) === null) await this.#setImageAside(domain);
      await recoverFile(this.#context, domain);
      this.#leases.look(domain);
      return domain;
    }
    const definition = parseDomain(status.domainXml);
    const reason = await this.#endOf(status);
    if (reason === 'undecided') {
      domain.keepUndecided(status);
      return domain;
    }
    const neverRan =
      reason === 'failed' && (await this.#context.auditor.lastControl(status.uuid, status.process.pid)) !== 'start';
    if (!neverRan) await domain.auditStop(definition, status.process, reason);
    await disposeHoldings(this.#context.guestHost, definition, status, { migrated: status.migration !== null });
    domain.foundEnded(parseState(status.state, status.reason), { state: 'shutoff', reason });
    if (config === null) this.#byUuid.delete(status.uuid);
    return domain;
  }

  /** The guest has come from elsewhere while it had an image here. */
  async #setImageAside({ uuid, name }: Domain): Promise<void> {
    const { managedImages, log } = this.#context;
    if (!managedImages.has(uuid)) return;
    const kept = await managedImages.setAside(uuid);
    log.warn('the managed image of a guest that runs is outdated, and was set aside', { domain: name, kept });
  }

  /** Why a QEMU is gone that nobody saw end: what its migration had journalled to do with it, else it has crashed. */
  async #endOf({
    migration,
    file,
  }: DomainStatus): Promise<'migrated' | 'destroyed' | 'crashed' | 'saved' | 'failed' | 'undecided'> {
    if (file?.t === 'restoring') return 'failed';
    if (file?.t === 'saving') {
      if (await isCommitted(file)) return 'saved';
      await discardPartial(file);
    }
    if (migration?.role !== 'source') return 'crashed';
    const journal = await this.#context.journals.readIfReadable(keyName(migration));
    if (journal === null) return 'undecided';
    if (journal.machine.stage === 'leaving') return 'migrated';
    return journal.machine.destroyIntended ? 'destroyed' : 'crashed';
  }

  #inTurn<T>(act: () => T | Promise<T>): Promise<T> {
    const taken = this.#turn.then(act);
    this.#turn = taken.catch(() => undefined);
    return taken;
  }

  #add(xml: { readonly config: string | null; readonly live: string | null }): Domain {
    const domain = new Domain(this.#context, xml, (ended) => this.#drop(ended));
    this.#byUuid.set(domain.uuid, domain);
    return domain;
  }

  /** Another domain of that uuid may be there since. */
  #drop(domain: Domain): void {
    if (this.#byUuid.get(domain.uuid) === domain) this.#byUuid.delete(domain.uuid);
  }

  #refuseClash(name: string, uuid: string): void {
    const namesake = this.list().find((domain) => domain.name === name);
    if (namesake !== undefined && namesake.uuid !== uuid) {
      throw new VmferryError(
        'domain-exists',
        `The name ${name} belongs to the domain ${namesake.uuid}; choose another, or undefine that one.`,
      );
    }
    const known = this.#byUuid.get(uuid);
    if (known !== undefined && known.name !== name) {
      throw new VmferryError(
        'domain-exists',
        `The uuid ${uuid} belongs to the domain ${known.name}; choose another, or undefine that one.`,
      );
    }
  }
}

/** What an offline migration moves is the definition itself: until the record has decided, nobody changes or removes it. */
function refuseMoving(domain: Domain | undefined): void {
  if (domain?.movesDefinition !== true) return;
  const { name, migration } = domain;
  if (migration === null) {
    domain.refuseUndecided();
    return;
  }
  throw new VmferryError('already-migrating', `The definition of domain ${name} is being migrated, by ${migration.id}.`, {
    data: { migrationId: migration.id },
  });
}

/** By uuid or by name, as virsh takes either. */
function answersTo({ uuid, name }: Pick<DomainStatus, 'uuid' | 'name'>, ref: string): boolean {
  return uuid === ref.toLowerCase() || name === ref;
}
