import type { OutcomeReply } from '@vmferry/api';
import type { CookiePeer } from '@vmferry/cookie';
import { VmferryError } from '@vmferry/errors';
import type { KeptDocument } from '@vmferry/host-state';
import type { Log } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import type { OutgoingJournal } from './outgoing-journal.js';
import type { Heard } from './outgoing-migration.js';
import { permitCookie } from './permit-cookie.js';

/** When the guest's RESUME was, and its first announcement, in milliseconds before the answer; null while it has not been. */
export type Resumed = Pick<OutcomeReply, 'resumedMsAgo' | 'announcedMsAgo'>;

interface Parts {
  readonly context: SourceContext;
  readonly journal: KeptDocument<OutgoingJournal>;
  readonly log: Log;
  readonly onResumed: (resumed: Resumed) => void;
}

/** The outcome record of one migration, which the destination keeps: how it is bound, asked, driven and let go of from here. */
export class FarRecord {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Before QMP `migrate` the peer's record must say `open` (handover rule, "Around it"); in v2 this is also when it hears whose it is.
   * Throws `migration-aborted` when it says anything else.
   */
  async refuseUnlessOpen(peer: CookiePeer): Promise<void> {
    const { context, journal } = this.#parts;
    const { begin, protocol, flags, machine } = journal.value;
    const agent = context.destinationAgent(peer.url);
    const { id, nonce } = machine.key;
    const key = { nonce, storeId: peer.storeId };
    const reply = await (protocol === 'v2'
      ? agent.bind(id, { ...key, cookie: begin.cookie, paused: flags.includes('PAUSED') })
      : agent.outcome(id, { ...key, abortUnlessCommitted: false }));
    if (reply.storeId === peer.storeId && reply.answer === 'open') return;
    throw new VmferryError(
      'migration-aborted',
      `The destination's record of migration ${id} says ${reply.answer}${reply.reason === null ? '' : `: ${reply.reason}`}.`,
    );
  }

  /** What the record says while the source decides alone: it is only read, and no answer says nothing. */
  async look(): Promise<{ readonly answer: Heard['answer']; readonly reason: string | null }> {
    const { context, log } = this.#parts;
    const { destination, key } = this.#machine;
    if (destination === null) return { answer: 'silent', reason: null };
    try {
      const agent = context.destinationAgent(destination.url);
      const reply = await agent.outcome(key.id, { nonce: key.nonce, storeId: destination.storeId, abortUnlessCommitted: false });
      return reply.storeId === destination.storeId ? reply : { answer: 'silent', reason: null };
    } catch (error) {
      log.warn('the destination agent does not answer', { url: destination.url, error });
      return { answer: 'silent', reason: null };
    }
  }

  /** An answer from another store is no answer, and neither is an error. */
  async ask(abortUnlessCommitted: boolean): Promise<Heard> {
    const { context, log, onResumed } = this.#parts;
    const { destination, key } = this.#machine;
    if (destination === null) return { answer: 'aborted', lease: null };
    try {
      const body = { nonce: key.nonce, storeId: destination.storeId, abortUnlessCommitted };
      const reply = await context.destinationAgent(destination.url).outcome(key.id, body);
      if (reply.storeId !== destination.storeId) return { answer: 'silent', lease: null };
      onResumed(reply);
      await context.faults('S18');
      return { answer: reply.answer, lease: reply.lockState };
    } catch (error) {
      log.warn('the destination agent does not answer', { url: destination.url, error });
      return { answer: 'silent', lease: null };
    }
  }

  /** The source's QEMU is gone and the permit was journalled: Finish is driven from here (rule 4). */
  async driveFinish(): Promise<Heard> {
    const { context, journal, log } = this.#parts;
    const { destination, key } = this.#machine;
    if (destination === null) return { answer: 'aborted', lease: null };
    try {
      const agent = context.destinationAgent(destination.url);
      const body = { nonce: key.nonce, flags: [...journal.value.flags], cancelled: false };
      const { outcome } = await (journal.value.protocol === 'v2'
        ? agent.finish2(key.id, body)
        : agent.finish(key.id, { ...body, cookie: permitCookie(context.host, journal.value) }));
      return { answer: outcome, lease: null };
    } catch (error) {
      log.warn('Finish could not be driven from the source', { error });
      return this.ask(false);
    }
  }

  /** Tells that the record was acted on. It stays until then, so a lost word costs a file and no safety. */
  async acknowledge(): Promise<void> {
    const { context, log } = this.#parts;
    const { destination, key } = this.#machine;
    if (destination === null) return;
    await context
      .destinationAgent(destination.url)
      .acknowledge(key.id, { nonce: key.nonce, storeId: destination.storeId })
      .catch((error: unknown) => log.warn('the destination could not be told that its record was acted on', { error }));
  }

  get #machine() {
    return this.#parts.journal.value.machine;
  }
}
