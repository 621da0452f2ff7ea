import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { VmferryError } from '@vmferry/errors';
import type { Clock, Random } from '@vmferry/seams';

const secretBytes = 32;

/**
 * Admits one peer to one stream of one migration, once, for a while (threats, rows 4 and 5). Only a digest is kept, of the secret
 * together with the migration, so that comparing it in constant time checks both; the expiry is on the monotonic clock.
 */
export class Ticket {
  readonly #clock: Clock;
  readonly #digest: Buffer;
  readonly #expiresAtMs: number;
  #used = false;

  private constructor(clock: Clock, digest: Buffer, expiresAtMs: number) {
    this.#clock = clock;
    this.#digest = digest;
    this.#expiresAtMs = expiresAtMs;
  }

  /** A new ticket and its 256-bit secret, which is shown to whoever asked for it and kept nowhere. */
  static issue(o: { clock: Clock; random: Random; migrationId: string; expiresMs: number }): { ticket: Ticket; secret: string } {
    const secret = o.random.hex(secretBytes);
    return { ticket: Ticket.of(secret, o), secret };
  }

  /** The ticket of a secret that is known already, as that of one channel of a family is. */
  static of(secret: string, o: { clock: Clock; migrationId: string; expiresMs: number }): Ticket {
    return new Ticket(o.clock, digestOf(secret, o.migrationId), o.clock.monotonicMs() + o.expiresMs);
  }

  /** Consumes the ticket. Throws 'ticket-invalid', which does not say why: a guesser learns nothing; a wrong guess consumes nothing. */
  redeem(secret: string, migrationId: string): void {
    const right = timingSafeEqual(digestOf(secret, migrationId), this.#digest);
    if (!right || this.#used || this.#clock.monotonicMs() >= this.#expiresAtMs) throw invalidTicket();
    this.#used = true;
  }
}

/**
 * The secret of one channel, from that of its family: both relays make it for themselves. Whoever sees one channel being attached knows
 * nothing of the others.
 */
export function channelSecret(familySecret: string, channel: number): string {
  return createHmac('sha256', familySecret).update(`vmferry-channel-1/${channel}`).digest('hex');
}

export function invalidTicket(): VmferryError {
  return new VmferryError(
    'ticket-invalid',
    'The ticket does not admit to this stream: it is wrong, used, expired, or of another migration.',
  );
}

function digestOf(secret: string, migrationId: string): Buffer {
  // A migration's id has no line break, so the two cannot be shifted into each other.
  return createHash('sha256').update(`${migrationId}\n${secret}`).digest();
}
