import { createHash, timingSafeEqual } from 'node:crypto';
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
    const ticket = new Ticket(o.clock, digestOf(secret, o.migrationId), o.clock.monotonicMs() + o.expiresMs);
    return { ticket, secret };
  }

  /** Consumes the ticket. Throws 'ticket-invalid', which does not say why: a guesser learns nothing; a wrong guess consumes nothing. */
  redeem(secret: string, migrationId: string): void {
    const right = timingSafeEqual(digestOf(secret, migrationId), this.#digest);
    if (!right || this.#used || this.#clock.monotonicMs() >= this.#expiresAtMs) throw invalidTicket();
    this.#used = true;
  }
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
