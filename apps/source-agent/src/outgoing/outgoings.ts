import type {
  BeginReply,
  BeginRequest,
  ConfirmReply,
  ConfirmRequest,
  CreateMigration,
  EvidenceReply,
  EvidenceRequest,
  MigrationParameters,
  MigrationResource,
  Perform2Reply,
  Perform2Request,
  PerformReply,
  PerformRequest,
  PermitReply,
  PermitRequest,
} from '@vmferry/api';
import { checkWay } from '@vmferry/client';
import { VmferryError } from '@vmferry/errors';
import {
  channelsOf,
  hasEnded,
  isOffline,
  keyName,
  type MigrationFlags,
  type Protocol,
  parseFlags,
  phaseOf,
  refuseOfflineIn,
  refuseParallelIn,
  stepArguments,
} from '@vmferry/migration';
import { bodyDigest } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import { noteDeparture } from '../domains/departures.js';
import { Domain } from '../domains/domain.js';
import type { Domains } from '../domains/domains.js';
import { type AcceptedBegin, acceptBegin, beginCookie } from './begin-request.js';
import { Outgoing } from './outgoing.js';
import { beginReplyOf, type OutgoingJournal } from './outgoing-journal.js';
import { ownFeatures, type PeerToPeer, refuseBadDestination } from './peer-to-peer.js';
import { acceptPerform } from './perform-request.js';

/** Libvirt's default limit is 300 ms; QEMU begins at 10 ms and is raised to this only when it must (qemu-behaviour). */
export const downtimeMsMaxDefault = 300;

/** Finished migrations are told of for 30 days; what is older goes at the next start of the agent, or when there is no room left. */
const keptMs = 30 * 24 * 3_600 * 1_000;
/** Journals at most: a thousand a day for as long as they are kept, as many as a destination keeps records. */
export const journalsMax = 30_000;
const removedAtOnce = 100;

interface BeginAs {
  readonly protocol: Protocol;
  /** Made here in v3; in v2 whoever drives has made it, because there is no Begin that could tell. */
  readonly nonce: string | null;
  readonly driver: 'peer-to-peer' | 'managed';
  readonly transport: 'direct' | 'tunnelled';
  readonly principal: string;
  readonly destinationAgent: string | null;
  readonly destinationHost: string | null;
}

/** The flags that decide by what a guest's memory goes. */
const means = ['TUNNELLED', 'PARALLEL', 'TLS'];

/** The outgoing migrations of this host. An id names one for ever: a second Begin under it is refused. */
export class Outgoings {
  readonly #context: SourceContext;
  readonly #domains: Domains;
  readonly #byId = new Map<string, Outgoing>();
  /** All that are journalled, forgotten ones too: the hold rule may ask for any. */
  readonly #byKey = new Map<string, Outgoing>();
  readonly #beginning = new Set<string>();

  constructor(context: SourceContext, domains: Domains) {
    this.#context = context;
    this.#domains = domains;
  }

  /** Reads the journals after a start; nothing is asked or answered before they are known. */
  async load(): Promise<void> {
    // The same guests come and go: what is over shares what was read of them.
    const ghosts = new Map<string, Domain>();
    const journals = (await this.#context.journals.list()).map(({ value }) => value);
    for (const journal of journals.sort((a, b) => a.createdAt.localeCompare(b.createdAt))) {
      if (this.#isOld(journal)) {
        await this.#context.journals.remove(keyName(journal.machine.key));
        continue;
      }
      const { xml } = journal.begin;
      const known = this.#domains.byUuid(journal.domain.uuid) ?? (isOver({ journal }) ? ghosts.get(xml) : undefined);
      const domain = known ?? this.#ghost(journal);
      const outgoing = new Outgoing(this.#context, domain, journal, this.#domains, true);
      this.#byKey.set(keyName(outgoing.key), outgoing);
      if (!journal.forgotten) this.#byId.set(outgoing.id, outgoing);
      if (domain.guest === null) noteDeparture(this.#context, journal);
      if (isOver(outgoing)) {
        ghosts.set(xml, domain);
        continue;
      }
      domain.setMigration(outgoing);
      const since = new Date(journal.createdAt);
      const phase = phaseOf(journal.machine.stage);
      const held = domain.guest !== null || isOffline(journal.flags);
      if (held && domain.jobs.active === null) domain.jobs.adoptAsync('migration-out', phase, since);
    }
    await this.#forgetLeavings();
    for (const path of await this.#context.journals.unreadable())
      this.#context.log.error('a journal waits to be mended: its guest is not run here until then', { path });
  }

  /** An earlier life of this agent may have ended between the note of a definition that leaves and its journal, or behind the journal's end. */
  async #forgetLeavings(): Promise<void> {
    const { leaving, journals } = this.#context;
    for (const { name: uuid, value: key } of await leaving.list()) {
      const outgoing = this.#byKey.get(keyName(key));
      if (outgoing === undefined && (await journals.isUnreadable(keyName(key)))) this.#domains.byUuid(uuid)?.markLeaving(key);
      else if (outgoing === undefined || isOver(outgoing)) await leaving.remove(uuid);
    }
  }

  /** Each migration that has not ended goes on from its stage, as soon as its guest answers or is known to have ended. */
  recover(): void {
    for (const outgoing of this.#byKey.values()) {
      if (isOver(outgoing)) continue;
      this.#domains.whenReached(outgoing.domain.uuid, () => {
        outgoing.recover().catch((error: unknown) => outgoing.log.error('the migration could not be taken up again', { error }));
      });
    }
  }

  list(): Outgoing[] {
    return [...this.#byId.values()];
  }

  /** Throws `migration-not-found`. */
  byId(id: string): Outgoing {
    const found = this.#byId.get(id);
    if (found !== undefined) return found;
    throw new VmferryError('migration-not-found', `There is no outgoing migration ${id} on ${this.#context.host.hostName}.`);
  }

  /** Bytes per second of the last migration that succeeded on this way, by these means and without a cap of its own; null when none is known. */
  lastRateTo(destinationAgent: string, flags: readonly string[]): number | null {
    const meansOf = (given: readonly string[]) => means.filter((flag) => given.includes(flag)).join();
    const last = this.list()
      .map(({ journal }) => journal)
      .filter((journal) => journal.outcome === 'committed' && meansOf(journal.flags) === meansOf(flags))
      .filter((journal) => journal.destinationAgent === destinationAgent && journal.bandwidthBytesPerSec === null)
      .filter(({ progress }) => (progress?.throughputBytesPerSec ?? 0) > 0)
      .sort((a, b) => (a.finishedAt ?? '').localeCompare(b.finishedAt ?? ''))
      .at(-1);
    return last?.progress?.throughputBytesPerSec ?? null;
  }

  /**
   * POST /v1/migrations: everything that can be refused is refused here; then this agent drives the migration to its end. Nothing is begun
   * for a caller who has left meanwhile, so that a request can be withdrawn as long as the destination does not answer.
   */
  async create(body: CreateMigration, principal: string, peers: PeerToPeer, left: AbortSignal): Promise<Outgoing> {
    const id = body.id ?? this.#context.random.uuid();
    this.#logBegin(id, principal, body);
    parseFlags(body.flags ?? []);
    this.refuseTaken(id);
    const domain = await this.#domains.ofOrArriving(body.domain);
    const begin = beginOf(body);
    const accepted = await acceptBegin(this.#context, domain, begin);
    const { version: destination, protocol } = await refuseBadDestination(this.#context, body);
    checkWay({ flags: body.flags ?? [], uri: body.uri }, ownFeatures(this.#context), destination);
    if (left.aborted)
      throw new VmferryError('migration-cancelled', `The request for migration ${id} was withdrawn before it began.`);
    const session = peers.openSession(body.destination);
    try {
      const outgoing = await this.#begin(id, begin, accepted, {
        protocol,
        nonce: null,
        driver: 'peer-to-peer',
        transport: transportOf(accepted.flags),
        principal,
        destinationAgent: body.destination,
        destinationHost: destination.hostName,
      });
      peers.drive(outgoing, body, session);
      return outgoing;
    } catch (thrown) {
      await session.end();
      throw thrown;
    }
  }

  /** Begin of a managed migration. The same body under the same id gets the same answer, after a restart too. */
  async begin(id: string, body: BeginRequest, principal: string): Promise<BeginReply> {
    this.#logBegin(id, principal, body);
    await this.#context.faults('S0');
    parseFlags(body.flags ?? []);
    const known = this.#byId.get(id);
    if (known !== undefined) return this.#answerAgain(known, body);
    const accepted = await acceptBegin(this.#context, await this.#domains.ofOrArriving(body.domain), body);
    refusePeerToPeer(accepted.flags);
    const as = {
      protocol: 'v3',
      nonce: null,
      driver: 'managed',
      transport: transportOf(accepted.flags),
      principal,
      destinationAgent: null,
      destinationHost: null,
    } as const;
    const outgoing = await this.#begin(id, body, accepted, as);
    await this.#context.faults('S3');
    return beginReplyOf(outgoing.journal);
  }

  /** Until `taken` is called nothing has happened. */
  async perform(id: string, body: PerformRequest, principal: string, taken: () => void): Promise<PerformReply> {
    this.#context.log.info('perform', { migrationId: id, protocol: 'v3', principal, ...stepArguments(body) });
    parseFlags(body.flags ?? []);
    const outgoing = this.#withNonce(id, body.nonce);
    this.#refuseOther(outgoing, 'v3');
    const accepted = outgoing.acceptPerform(body);
    await this.#takeJob(outgoing, principal);
    taken();
    const reply = await outgoing.perform(accepted);
    await this.#context.faults('S15');
    return reply;
  }

  /**
   * Perform of v2: what Begin does is inside, under the driver's nonce; the answer means that the memory is over. It hands out no permit:
   * the destination fetches that, and what it comes to is read in its record. Until `taken` is called nothing has happened.
   */
  async perform2(id: string, body: Perform2Request, principal: string, taken: () => void): Promise<Perform2Reply> {
    this.#context.log.info('perform', { migrationId: id, protocol: 'v2', principal, ...stepArguments(body) });
    const wanted = parseFlags(body.flags ?? []);
    refuseOfflineIn('v2', wanted);
    refuseParallelIn('v2', wanted);
    this.refuseTaken(id);
    const { nonce, domain: ref, flags, destinationName, bandwidthMibPerSec, downtimeMsMax, timeouts, session } = body;
    const begin = { domain: ref, flags, destinationName, bandwidthMibPerSec, downtimeMsMax, timeouts, session };
    const domain = await this.#domains.ofOrArriving(ref);
    const accepted = await acceptBegin(this.#context, domain, begin);
    refusePeerToPeer(accepted.flags);
    const perform = acceptPerform(
      this.#context,
      { domain, key: { id, nonce }, protocol: 'v2', offline: false, channels: null },
      body,
    );
    const outgoing = await this.#begin(id, begin, accepted, {
      protocol: 'v2',
      nonce,
      driver: 'managed',
      transport: transportOf(accepted.flags),
      principal,
      destinationAgent: perform.peer.url,
      destinationHost: null,
    });
    taken();
    await outgoing.perform(perform);
    outgoing.watchRecord();
    await this.#context.faults('S15');
    return {};
  }

  async confirm(id: string, body: ConfirmRequest, signal: AbortSignal): Promise<ConfirmReply> {
    this.#context.log.info('confirm', { migrationId: id, ...stepArguments(body) });
    parseFlags(body.flags ?? []);
    const outgoing = this.#withNonce(id, body.nonce);
    this.#refuseOther(outgoing, 'v3');
    outgoing.checkFinishCookie(body.cookie);
    outgoing.live.enter('confirm', 'source');
    await outgoing.confirm(signal, false);
    const { outcome, state } = outgoing.live.value;
    return { outcome: outcome ?? (hasEnded(outgoing.machine.journal) ? 'aborted' : 'pending'), state };
  }

  /** Throws `past-point-of-no-return` once the record has been read as committed. */
  async cancel(id: string, principal: string): Promise<MigrationResource> {
    const outgoing = this.byId(id);
    await outgoing.cancel(principal);
    return outgoing.live.value;
  }

  /** Sets the limits of a migration under way, as a job of its domain (S55). Throws `not-migrating` when it is over. */
  async steer(id: string, parameters: MigrationParameters, principal: string): Promise<MigrationResource> {
    const outgoing = this.byId(id);
    if (outgoing.journal.finishedAt !== null)
      throw new VmferryError('not-migrating', `The migration ${id} is over: its limits are of no use.`);
    return this.#asOperation(outgoing, principal, () => outgoing.steer(parameters));
  }

  /** Stops the guest so that the rest of its memory goes over. Throws `not-migrating` when nothing is being sent. */
  forceComplete(id: string, principal: string): Promise<MigrationResource> {
    const outgoing = this.byId(id);
    return this.#asOperation(outgoing, principal, () => outgoing.forceComplete(principal));
  }

  async #asOperation(outgoing: Outgoing, principal: string, act: () => Promise<void>): Promise<MigrationResource> {
    const release = await outgoing.domain.jobs.begin('migration-op', principal);
    try {
      await act();
    } finally {
      await release();
    }
    return outgoing.live.value;
  }

  evidence(id: string, body: EvidenceRequest): EvidenceReply {
    const { storeId } = this.#context.host;
    const outgoing = this.#byKey.get(keyName({ id, nonce: body.nonce }));
    if (outgoing === undefined || body.storeId !== storeId) {
      return { storeId, guest: 'unknown', permit: null, destroyed: false, ranOn: false };
    }
    return outgoing.evidence();
  }

  /** Finish2's question: the permit, for the destination that asks about this very journal. */
  permit(id: string, body: PermitRequest): PermitReply {
    const { storeId } = this.#context.host;
    const outgoing = this.#byKey.get(keyName({ id, nonce: body.nonce }));
    const isOurs = outgoing?.journal.protocol === 'v2' && body.storeId === storeId;
    return { storeId, permit: isOurs ? outgoing.permit() : null };
  }

  /** Forgets a finished migration's resource. Throws `migration-live`. */
  async forget(id: string): Promise<void> {
    const outgoing = this.byId(id);
    if (outgoing.journal.finishedAt === null) {
      throw new VmferryError('migration-live', `The migration ${id} is still under way; cancel it, or wait for its end.`);
    }
    await outgoing.forget();
    this.#byId.delete(id);
  }

  /** Accepts what `acceptBegin` has read: job, journal, cookie. Nothing of it stays when a part fails. */
  async #begin(id: string, body: BeginRequest, accepted: AcceptedBegin, as: BeginAs): Promise<Outgoing> {
    this.refuseTaken(id);
    this.#beginning.add(id);
    const { domain } = accepted;
    const owner = `migration ${id} of ${as.principal}`;
    // Of v2 this is Perform already, which begins the job in any case (S1).
    const protectedFromBegin = as.driver === 'peer-to-peer' || as.protocol === 'v2' || accepted.flags.has('CHANGE_PROTECTION');
    try {
      const release = protectedFromBegin ? null : await domain.jobs.begin('modify', owner);
      const handle = protectedFromBegin ? await domain.jobs.beginAsync('migration-out', owner) : null;
      try {
        return await this.#open(id, body, await acceptBegin(this.#context, domain, body), as);
      } catch (thrown) {
        if (handle !== null) await domain.jobs.endAsync(handle);
        throw thrown;
      } finally {
        await release?.();
      }
    } finally {
      this.#beginning.delete(id);
    }
  }

  async #open(id: string, body: BeginRequest, accepted: AcceptedBegin, as: BeginAs): Promise<Outgoing> {
    const { random, clock, faults } = this.#context;
    const { domain, flags } = accepted;
    const key = { id, nonce: as.nonce ?? random.hex(16) };
    const permit = random.hex(16);
    const offline = flags.has('OFFLINE');
    const cookie = await beginCookie(this.#context, domain, key, { permit, offline });
    await this.#makeRoom();
    const journal: OutgoingJournal = {
      version: 1,
      machine: {
        version: 1,
        key,
        stage: 'begun',
        permit,
        destination: null,
        resumeOnRollback: accepted.running,
        destroyIntended: false,
        ranOn: false,
        returnedLease: null,
      },
      createdAt: clock.wall().toISOString(),
      protocol: as.protocol,
      forgotten: false,
      finishedAt: null,
      domain: { uuid: domain.uuid, name: domain.name, destinationName: accepted.destinationName },
      driver: as.driver,
      transport: as.transport,
      flags: [...flags],
      destinationAgent: as.destinationAgent,
      destinationHost: as.destinationHost,
      bandwidthBytesPerSec: body.bandwidthMibPerSec === undefined ? null : body.bandwidthMibPerSec * 1_048_576,
      downtimeMsMax: body.downtimeMsMax ?? downtimeMsMaxDefault,
      timeouts: body.timeouts ?? {},
      parallelConnections: channelsOf(flags, body.parallelConnections),
      display: null,
      forceComplete: null,
      begin: { digest: bodyDigest(body), cookie, xml: accepted.targetXml, flags: [...flags] },
      outcome: null,
      cancelRequested: null,
      error: null,
      progress: null,
      phases: [],
    };
    const outgoing = new Outgoing(this.#context, domain, journal, this.#domains, false);
    if (body.session !== undefined) outgoing.tie(body.session);
    try {
      await this.#domains.putInHand(domain, outgoing, accepted.config);
      await outgoing.open();
    } catch (thrown) {
      domain.setMigration(null);
      throw thrown;
    }
    this.#byId.set(id, outgoing);
    this.#byKey.set(keyName(key), outgoing);
    await faults('S2');
    return outgoing;
  }

  #answerAgain(known: Outgoing, body: BeginRequest): BeginReply {
    const { begin, machine } = known.journal;
    if (begin.digest !== bodyDigest(body)) {
      throw new VmferryError(
        'step-mismatch',
        `Begin of migration ${known.id} was already taken with another body; choose another id.`,
        { data: { step: 'begin' } },
      );
    }
    if (machine.stage !== 'begun') {
      throw new VmferryError('migration-exists', `The migration ${known.id} is ${machine.stage} already; choose another id.`);
    }
    return beginReplyOf(known.journal);
  }

  #logBegin(migrationId: string, principal: string, body: BeginRequest | CreateMigration): void {
    this.#context.log.info('begin', { migrationId, principal, ...stepArguments(body) });
  }

  /** S1: with CHANGE_PROTECTION the job of Begin must be there still; without, Perform begins it. */
  async #takeJob(outgoing: Outgoing, principal: string): Promise<void> {
    const { jobs, name } = outgoing.domain;
    if (jobs.active?.kind === 'migration-out') return;
    if (outgoing.journal.flags.includes('CHANGE_PROTECTION')) {
      throw new VmferryError('not-migrating', `The domain ${name} is not being migrated: the job that Begin began has ended.`);
    }
    const handle = await jobs.beginAsync('migration-out', `migration ${outgoing.id} of ${principal}`);
    try {
      // It may have ended while the job was waited for, and then nobody else would end the job.
      outgoing.refuseUnless('begun');
    } catch (thrown) {
      await jobs.endAsync(handle);
      throw thrown;
    }
  }

  #withNonce(id: string, nonce: string): Outgoing {
    const outgoing = this.byId(id);
    if (outgoing.key.nonce === nonce) return outgoing;
    throw new VmferryError('step-mismatch', `The migration ${id} has another nonce: this step belongs to another Begin.`);
  }

  #refuseOther(outgoing: Outgoing, protocol: Protocol): void {
    const { protocol: begun } = outgoing.journal;
    if (begun === protocol) return;
    throw new VmferryError('peer-protocol', `The migration ${outgoing.id} is of ${begun}; this step is of ${protocol}.`);
  }

  #isOld({ finishedAt }: OutgoingJournal): boolean {
    return finishedAt !== null && this.#context.clock.wall().getTime() - Date.parse(finishedAt) > keptMs;
  }

  /** An agent runs for longer than journals are kept. When none may go, the store refuses the one that is over its bound. */
  async #makeRoom(): Promise<void> {
    if (this.#byKey.size < journalsMax) return;
    const old = [...this.#byKey].filter(([, { journal }]) => this.#isOld(journal));
    for (const [name, { id }] of old.slice(0, removedAtOnce)) {
      this.#byKey.delete(name);
      this.#byId.delete(id);
      await this.#context.journals.remove(name);
    }
  }

  /** Throws `migration-exists`. */
  refuseTaken(id: string): void {
    if (!this.#byId.has(id) && !this.#beginning.has(id)) return;
    throw new VmferryError(
      'migration-exists',
      `A migration ${id} exists already; choose another id, or forget it when it is finished.`,
    );
  }

  /** A domain that is gone from this host, for the story of a migration that took it away. */
  #ghost({ begin }: OutgoingJournal): Domain {
    return new Domain(this.#context, { config: null, live: begin.xml }, () => undefined);
  }
}

function isOver({ journal }: Pick<Outgoing, 'journal'>): boolean {
  return hasEnded(journal.machine) && journal.finishedAt !== null;
}

function refusePeerToPeer(flags: MigrationFlags): void {
  if (!flags.has('PEER2PEER')) return;
  throw new VmferryError(
    'invalid-argument',
    'A managed migration does not take the flag PEER2PEER; post to /v1/migrations for that.',
  );
}

/** The Begin of a migration that this agent drives. */
export function beginOf(body: CreateMigration): BeginRequest {
  return {
    domain: body.domain,
    flags: [...new Set([...(body.flags ?? []), 'PEER2PEER'])],
    ...(body.destinationName === undefined ? {} : { destinationName: body.destinationName }),
    ...(body.xml === undefined ? {} : { xml: body.xml }),
    ...(body.bandwidthMibPerSec === undefined ? {} : { bandwidthMibPerSec: body.bandwidthMibPerSec }),
    ...(body.downtimeMsMax === undefined ? {} : { downtimeMsMax: body.downtimeMsMax }),
    ...(body.timeouts === undefined ? {} : { timeouts: body.timeouts }),
    ...(body.parallelConnections === undefined ? {} : { parallelConnections: body.parallelConnections }),
  };
}

function transportOf(flags: MigrationFlags): 'direct' | 'tunnelled' {
  return flags.has('TUNNELLED') ? 'tunnelled' : 'direct';
}
