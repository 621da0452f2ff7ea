import type {
  AcknowledgeRequest,
  BindRequest,
  FinishReply,
  FinishRequest,
  MigrationResource,
  OutcomeReply,
  OutcomeRequest,
  PrepareReply,
  ResolveRequest,
} from '@vmferry/api';
import { cookieFromBase64, cookieToBase64, decodeCookie, encodeCookie, type MigrationCookie } from '@vmferry/cookie';
import { VmferryError } from '@vmferry/errors';
import { isSameProcess } from '@vmferry/hypervisor';
import {
  isFinal,
  keyName,
  type MigrationKey,
  type Permit,
  type Protocol,
  parseFlags,
  permitMatches,
  stepArguments,
  unbound,
} from '@vmferry/migration';
import { bodyDigest } from '@vmferry/service';
import type { DestinationContext } from '../context.js';
import { readBeginCookie } from './begin-cookie.js';
import { Incoming } from './incoming.js';
import { hasArrivedOffline, type IncomingJournal } from './incoming-journal.js';
import { prepare } from './prepare.js';
import type { PrepareBody, PrepareStep } from './prepare-request.js';
import { askPermit } from './source-question.js';
import { Tombstones } from './tombstones.js';

/** Finish's body; in v2 a cookie may be missing (S21). */
export type FinishBody = Omit<FinishRequest, 'cookie'> & { readonly cookie?: string | null | undefined };

const keptMs = 30 * 24 * 3_600 * 1_000;
/** Records at most: a thousand a day for as long as they are kept. So many are read in 6 s at a start and take 450 MiB (ARCHITECTURE). */
export const recordsMax = 30_000;
const removedAtOnce = 100;
/** How long Finish, or the acknowledgement, waits for the host's source-agent to take the domain over before it answers anyway. */
const adoptionWaitMs = 1_000;
/** The same for the first announcement, which goes out with the guest's first instructions; nobody stands still meanwhile. */
const announceWaitMs = 200;
/** Incoming migrations that are under way at once: each has a QEMU of its own (threats, row 13). */
const underWayMax = 16;

/** The incoming migrations of this host, by key and by id; the newest of an id is the one that the id names. */
export class Incomings {
  readonly #context: DestinationContext;
  readonly #byKey = new Map<string, Incoming>();
  readonly #byId = new Map<string, Incoming>();
  readonly #preparing = new Set<string>();
  /** Records whose first write is under way: whoever asks about the key waits for it. */
  readonly #opening = new Map<string, Promise<void>>();
  readonly #tombstones: Tombstones;

  constructor(context: DestinationContext) {
    this.#context = context;
    this.#tombstones = new Tombstones(context.clock);
  }

  /** Reads the records after a start; nothing is asked or answered before they are known. */
  async load(): Promise<void> {
    const journals = (await this.#context.journals.list()).map(({ value }) => value);
    for (const journal of journals.sort((a, b) => a.createdAt.localeCompare(b.createdAt))) {
      if (this.#mayGo(journal)) {
        await this.#context.journals.remove(keyName(journal.record.key));
        continue;
      }
      const incoming = new Incoming(this.#context, journal);
      this.#admit(incoming);
      await incoming.forgetUnstarted();
    }
    await this.#forgetArrivals();
  }

  /** An earlier life of this agent may have ended between the note and the record, or between the decision and the note. */
  async #forgetArrivals(): Promise<void> {
    const { arrivals, journals } = this.#context;
    for (const { name: uuid, value: key } of await arrivals.list()) {
      const name = keyName(key);
      const journal = this.#byKey.get(name)?.journal;
      // While its record waits to be mended, the note keeps the domain from being started.
      const isOver =
        journal === undefined ? !(await journals.isUnreadable(name)) : journal.concluded && !hasArrivedOffline(journal);
      if (isOver) await arrivals.remove(uuid);
    }
  }

  /** Each migration goes on from its record. Resolves when all have been looked at. */
  async recover(): Promise<void> {
    for (const incoming of [...this.#byKey.values()]) await incoming.recover();
  }

  list(): Incoming[] {
    return [...this.#byId.values()];
  }

  /** Throws `migration-not-found`. */
  byId(id: string): Incoming {
    const found = this.#byId.get(id);
    if (found !== undefined) return found;
    throw new VmferryError('migration-not-found', `There is no incoming migration ${id} on ${this.#context.host.hostName}.`);
  }

  /**
   * Prepare or PrepareTunnel, of v3 or v2. The same body gets the same answer as long as the record is open; a key with a decision is refused.
   * Until `taken` is called nothing has happened.
   */
  async prepare(id: string, body: PrepareBody, step: PrepareStep, taken: () => void): Promise<PrepareReply> {
    const name = step.transport === 'tunnelled' ? 'prepare-tunnel' : 'prepare';
    this.#context.log.info(name, { migrationId: id, protocol: step.protocol, ...stepArguments(body) });
    const known = this.#byKey.get(keyName({ id, nonce: body.nonce }));
    if (known !== undefined) return this.#answerAgain(known, id, body, step);
    const namesake = this.#byId.get(id);
    if (namesake?.migration.answer === 'open' || namesake?.migration.answer === 'pending') {
      throw new VmferryError('migration-exists', `A migration ${id} comes in already, with another nonce; choose another id.`);
    }
    if (this.#preparing.has(id)) throw new VmferryError('migration-exists', `A migration ${id} is being prepared already.`);
    this.#preparing.add(id);
    try {
      await this.#refuseFull();
      return await prepare(this.#context, id, body, step, async (incoming) => {
        const { record, domain } = incoming.journal;
        if (domain !== null) this.refuseRival(record.key, domain);
        taken();
        await this.#open(incoming);
      });
    } finally {
      this.#preparing.delete(id);
    }
  }

  /** Finish of v3 brings the permit; for one of v2 it is fetched from the source. The rest is the same. */
  async finish(id: string, body: FinishBody, protocol: Protocol, signal: AbortSignal, taken: () => void): Promise<FinishReply> {
    this.#context.log.info('finish', { migrationId: id, protocol, ...stepArguments(body) });
    parseFlags(body.flags ?? []);
    await this.#context.faults('D13');
    const incoming = await this.#orTombstone({ id, nonce: body.nonce });
    const { domain, protocol: prepared } = incoming.journal;
    if (domain !== null && prepared !== protocol) {
      throw new VmferryError(
        'peer-protocol',
        `The migration ${id} was prepared by ${prepared}; finish it by that, not by ${protocol}.`,
      );
    }
    const permit = protocol === 'v3' ? this.#permitOf(incoming, body) : await this.#fetchPermit(incoming, body);
    taken();
    if (permit !== null) await incoming.finish(permit, signal);
    else if (body.cancelled) {
      if (incoming.migration.answer === 'open')
        await incoming.wantAbort('the driver of the migration asked Finish to cancel', signal);
      // Whoever is told that it was given up may prepare it anew at once.
      await incoming.tornDown();
    }
    const reply = await this.#finishReply(incoming, body.cancelled);
    await this.#context.faults('D20');
    return reply;
  }

  /** Protocol v2: the source agent binds the record that Prepare2 opened, and is answered with what the record says. */
  async bind(id: string, body: BindRequest): Promise<OutcomeReply> {
    this.#context.log.info('bind', { migrationId: id, ...stepArguments(body) });
    if (body.storeId !== this.#context.host.storeId) return this.#ofAnotherStore();
    const key = { id, nonce: body.nonce };
    const incoming = await this.#orTombstone(key);
    const { domain, protocol } = incoming.journal;
    if (domain === null) return incoming.outcome();
    if (protocol !== 'v2')
      throw new VmferryError('peer-protocol', `The migration ${id} was prepared by ${protocol}, with its source.`);
    const read = readBeginCookie(this.#context, key, { name: domain.sourceName, uuid: domain.uuid }, body.cookie);
    await incoming.bind({ ...read, mode: body.paused ? 'paused' : 'run' });
    return incoming.outcome();
  }

  /** What the record says; an answer for another store is `unknown` (handover rule, "Around it"). */
  async outcome(id: string, body: OutcomeRequest, signal: AbortSignal): Promise<OutcomeReply> {
    if (body.storeId !== this.#context.host.storeId) return this.#ofAnotherStore();
    const incoming = await this.#orTombstone({ id, nonce: body.nonce });
    if (body.abortUnlessCommitted && (incoming.migration.answer === 'open' || incoming.migration.answer === 'pending')) {
      await incoming.wantAbort('the source asked to abort unless committed', signal);
    }
    return { ...incoming.outcome(), guestHere: body.uuid === undefined ? null : await this.#isHere(body.uuid) };
  }

  /** By the status document, whichever of the host's agents has the guest. Throws `state-unreadable`. */
  async #isHere(uuid: string): Promise<boolean> {
    const status = await this.#context.guestHost.statuses.read(uuid);
    return status !== null && isSameProcess(status.process);
  }

  #ofAnotherStore(): OutcomeReply {
    return {
      answer: 'unknown',
      storeId: this.#context.host.storeId,
      lockState: null,
      reason: 'this is another store than the one the migration was prepared in',
      held: null,
      resumedMsAgo: null,
      announcedMsAgo: null,
      guestHere: null,
    };
  }

  /** The word of a source that takes this for another store is none. */
  async acknowledge(id: string, { nonce, storeId }: AcknowledgeRequest): Promise<void> {
    if (storeId !== this.#context.host.storeId) return;
    await this.#byKey.get(keyName({ id, nonce }))?.acknowledge(adoptionWaitMs);
  }

  /** An administrator's word about a held guest, with its proof on the audit before anything follows from it. Throws `past-point-of-no-return` for one that is not held. */
  async resolve(
    id: string,
    { keep, proof }: ResolveRequest,
    by: { readonly principal: string; readonly requestId: string },
    signal: AbortSignal,
  ): Promise<MigrationResource> {
    const { migration, live } = this.byId(id);
    // One that is being tried again at this moment is held again, or decided, as soon as that has an answer.
    if (migration.wasHeld) await migration.untilDecidedOrHeld(signal);
    const { record, held } = migration;
    if (isFinal(record) || held === null) {
      const detail = `The migration ${id} is not held: its record says ${record.decision}.`;
      throw new VmferryError('past-point-of-no-return', detail);
    }
    const act = { method: 'POST', path: `/v1/migrations/${id}/resolve`, outcome: `resolve keep=${keep} proof=${proof}` };
    await this.#context.auditor.api({ ...by, ...act, success: true });
    await migration.dispatch({ t: 'resolve', keep });
    await migration.untilDecidedOrHeld(signal);
    return live.value;
  }

  /** Without a wait between this and `#open`: two Prepares of one domain at once would start two QEMUs in one folder. */
  refuseRival(key: MigrationKey, domain: { readonly uuid: string; readonly name: string }): void {
    const { hostName } = this.#context.host;
    const known = this.#byKey.get(keyName(key));
    if (known !== undefined) throw this.#aborted(known);
    const underWay = [...this.#byKey.values()].filter(({ journal }) => journal.domain !== null && !journal.concluded);
    const rival = underWay.find(({ journal }) => journal.domain?.uuid === domain.uuid || journal.domain?.name === domain.name);
    if (rival !== undefined) {
      const { id } = rival.journal.record.key;
      const detail = `The domain ${domain.name} takes part in migration ${id} on ${hostName}, which is not decided yet.`;
      throw new VmferryError('in-doubt', detail, { data: { migrationId: id } });
    }
    if (underWay.length >= underWayMax) {
      const detail = `${underWayMax} migrations are coming in to ${hostName} already; try again when one is over.`;
      throw new VmferryError('too-many-requests', detail);
    }
  }

  /** From here on whoever asks about the key meets this record, never another one beside it. */
  async #open(incoming: Incoming): Promise<void> {
    const { key } = incoming.migration.record;
    const name = keyName(key);
    const namesake = this.#byId.get(key.id);
    this.#admit(incoming);
    const opening = incoming.open();
    this.#opening.set(name, opening);
    try {
      await opening;
    } catch (thrown) {
      this.#byKey.delete(name);
      this.#tombstones.remove(name);
      if (namesake === undefined) this.#byId.delete(key.id);
      else this.#byId.set(key.id, namesake);
      throw thrown;
    } finally {
      this.#opening.delete(name);
    }
  }

  /** A record goes only after the source acknowledged it, and not before 30 days (handover rule, "Around it"). */
  #mayGo({ acknowledged, concluded, finishedAt }: IncomingJournal): boolean {
    if (!acknowledged || !concluded || finishedAt === null) return false;
    return this.#context.clock.wall().getTime() - Date.parse(finishedAt) > keptMs;
  }

  /** A tombstone is known by its key alone: an id names a migration that was prepared here. */
  #admit(incoming: Incoming): void {
    const { key } = incoming.migration.record;
    this.#byKey.set(keyName(key), incoming);
    if (incoming.journal.domain === null) this.#tombstones.asked(keyName(key));
    else this.#byId.set(key.id, incoming);
  }

  /** An agent runs for longer than records are kept: those that may go, go when there is no room left. Throws `state-unwritable`. */
  async #refuseFull(): Promise<void> {
    if (this.#byKey.size - this.#tombstones.size < recordsMax) return;
    const old = [...this.#byKey].filter(([, { journal }]) => journal.domain !== null && this.#mayGo(journal));
    // Each is a durable removal that this Prepare waits for; the next ones find more.
    for (const [name] of old.slice(0, removedAtOnce)) await this.#remove(name);
    if (this.#byKey.size - this.#tombstones.size < recordsMax) return;
    const detail = `${this.#context.host.hostName} keeps ${recordsMax} records of incoming migrations, none of which may go yet: they are kept for 30 days, and until their source has acknowledged them.`;
    throw new VmferryError('state-unwritable', detail);
  }

  /** Whoever asks about the key from now on finds none; a document that then cannot be removed is found at the next start. */
  async #remove(name: string): Promise<void> {
    const gone = this.#byKey.get(name);
    this.#byKey.delete(name);
    this.#tombstones.remove(name);
    if (gone !== undefined && this.#byId.get(gone.migration.record.key.id) === gone)
      this.#byId.delete(gone.migration.record.key.id);
    await this.#context.journals.remove(name);
  }

  #answerAgain(known: Incoming, id: string, body: PrepareBody, step: PrepareStep): PrepareReply {
    const { prepareDigest, prepareAnswer, record } = known.journal;
    if (record.decision === 'aborted' || record.decision === 'unknown') {
      throw new VmferryError(
        'migration-aborted',
        `The migration ${id} was aborted on the destination: ${record.reason ?? 'no reason is known'}. Begin anew.`,
      );
    }
    if (prepareDigest !== bodyDigest({ ...body, ...step })) {
      throw new VmferryError('step-mismatch', `Prepare of migration ${id} was already taken with another body.`, {
        data: { step: 'prepare' },
      });
    }
    if (prepareAnswer === null || this.#preparing.has(id))
      throw new VmferryError('handover-pending', `Prepare of migration ${id} is under way.`);
    return prepareAnswer;
  }

  /** A key never seen gets a durable `aborted`, so that its late Prepare is refused. */
  async #orTombstone(key: MigrationKey): Promise<Incoming> {
    const known = this.#byKey.get(keyName(key));
    if (known !== undefined) {
      if (known.journal.domain === null) this.#tombstones.asked(keyName(key));
      await this.#opening.get(keyName(key));
      return known;
    }
    const idle = this.#tombstones.givesWay();
    const now = this.#context.clock.wall().toISOString();
    const journal: IncomingJournal = {
      version: 1,
      record: {
        version: 1,
        key,
        decision: 'aborted',
        mode: 'paused',
        ...unbound,
        reason: 'it was asked about before it was prepared',
      },
      createdAt: now,
      protocol: 'v3',
      domain: null,
      configBefore: null,
      transport: 'direct',
      driver: 'managed',
      flags: [],
      prepareAnswer: null,
      prepareDigest: null,
      concluded: true,
      acknowledged: false,
      finishedAt: now,
    };
    const tombstone = new Incoming(this.#context, journal);
    // Without a wait in between: whoever asks about the same key meanwhile meets this one.
    await Promise.all([idle === null ? null : this.#remove(idle), this.#open(tombstone)]);
    return tombstone;
  }

  /** The permit in Finish's cookie; null for a Finish that cancels, which needs neither permit nor cookie. */
  #permitOf(incoming: Incoming, { cancelled, cookie: sent }: FinishBody): Permit | null {
    const { domain, record } = incoming.journal;
    if (domain === null) return this.#buried(incoming, cancelled);
    if (cancelled && sent === '') return null;
    const cookie = this.#readCookie(record.key, domain, sent ?? '');
    if (cancelled) return null;
    const permit = cookie.vmferry?.permit;
    if (permit === undefined || !permitMatches(permit, record.permitDigest)) {
      throw new VmferryError('permit-invalid', `Finish of migration ${record.key.id} needs the permit that Perform gave.`);
    }
    return permit;
  }

  /** The source's permit; null for a Finish that cancels, and when the record is decided already. */
  async #fetchPermit(incoming: Incoming, body: FinishBody): Promise<Permit | null> {
    const { domain, record } = incoming.journal;
    if (domain === null) return this.#buried(incoming, body.cancelled);
    // A v2 driver may send a cookie or none (S21); one of another migration is a mistake.
    if (body.cookie != null && body.cookie !== '') this.#readCookie(record.key, domain, body.cookie);
    return body.cancelled || isFinal(record) ? null : askPermit(this.#context, record);
  }

  /** There is nothing to permit; only a Finish that cancels has what it wants. */
  #buried(incoming: Incoming, cancelled: boolean): null {
    if (cancelled) return null;
    throw this.#aborted(incoming);
  }

  #readCookie(migration: MigrationKey, domain: NonNullable<IncomingJournal['domain']>, base64: string): MigrationCookie {
    const { host } = this.#context;
    return decodeCookie(cookieFromBase64(base64), {
      name: domain.sourceName,
      uuid: domain.uuid,
      localHostName: host.hostName,
      localHostUuid: host.hostUuid,
      migration,
    });
  }

  async #finishReply(incoming: Incoming, cancelled: boolean): Promise<FinishReply> {
    const { answer, held } = incoming.migration;
    switch (answer) {
      case 'committed': {
        // Peer-to-peer, the source agent ends its QEMU meanwhile, and waits with its acknowledgement.
        const handedOver = await incoming.handedOver(incoming.journal.driver === 'managed' ? adoptionWaitMs : 0);
        await incoming.announced(announceWaitMs);
        return {
          outcome: 'committed',
          cookie: this.#cookieOf(incoming),
          domain: incoming.domain(),
          handover: handedOver ? 'done' : 'pending',
          resumedMsAgo: incoming.resumedMsAgo(),
          announcedMsAgo: incoming.announcedMsAgo(),
        };
      }
      case 'aborted':
        if (!cancelled) throw this.#aborted(incoming);
        return {
          outcome: 'aborted',
          cookie: this.#cookieOf(incoming),
          domain: null,
          handover: 'none',
          resumedMsAgo: null,
          announcedMsAgo: null,
        };
      case 'open':
      case 'pending':
      case 'unknown': {
        const why = held === null ? '' : ` It is held: ${held.reason}.`;
        throw new VmferryError(
          'migration-undecided',
          `The record of migration ${incoming.migration.record.key.id} says ${answer}.${why}`,
          {
            data: { outcome: answer, ...(held === null ? {} : { held: held.reason }) },
          },
        );
      }
    }
  }

  /** S26: an error tells why there is no domain; the first thing that went wrong comes first. */
  #aborted(incoming: Incoming): VmferryError {
    const { key, reason } = incoming.migration.record;
    const error = new VmferryError(
      'migration-aborted',
      `The migration ${key.id} was aborted on the destination: ${reason ?? 'no reason is known'}.`,
    );
    return incoming.error === null ? error : incoming.error.at({ side: 'destination' });
  }

  #cookieOf(incoming: Incoming): string {
    const { domain, record } = incoming.journal;
    if (domain === null) return '';
    const { hostName, hostUuid } = this.#context.host;
    const vmferry = { migrationId: record.key.id, nonce: record.key.nonce };
    return cookieToBase64(
      encodeCookie({ name: domain.sourceName, uuid: domain.uuid, hostName, hostUuid, features: [], vmferry }),
    );
  }
}
