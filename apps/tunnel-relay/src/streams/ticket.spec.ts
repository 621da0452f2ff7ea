import { type Clock, systemRandom } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { Ticket } from './ticket.js';

function setup() {
  let nowMs = 0;
  const clock: Clock = { monotonicMs: () => nowMs, wall: () => new Date(0), after: () => ({ cancel: () => undefined }) };
  const { ticket, secret } = Ticket.issue({ clock, random: systemRandom, migrationId: 'm1', expiresMs: 60_000 });
  const pass = (ms: number) => {
    nowMs += ms;
  };
  return { ticket, secret, pass };
}

const invalid = expect.objectContaining({ code: 'ticket-invalid' });

describe('threats 4 and 5: a ticket', () => {
  it('has 256 bits and admits once', () => {
    const { ticket, secret } = setup();
    expect(secret).toMatch(/^[0-9a-f]{64}$/);
    ticket.redeem(secret, 'm1');
    expect(() => ticket.redeem(secret, 'm1')).toThrow(invalid);
  });

  it('is of one migration; a wrong guess does not consume it', () => {
    const { ticket, secret } = setup();
    const guesses: [string, string][] = [
      [secret, 'm2'],
      [secret, ''],
      ['', 'm1'],
      [`${secret}0`, 'm1'],
      [secret.slice(1), 'm1'],
      [secret.toUpperCase(), 'm1'],
      [`${secret}\nm1`, 'm1'],
    ];
    for (const [guess, migrationId] of guesses) expect(() => ticket.redeem(guess, migrationId)).toThrow(invalid);
    ticket.redeem(secret, 'm1');
  });

  it('expires on the monotonic clock, and every refusal says the same', () => {
    const { ticket, secret, pass } = setup();
    pass(59_999);
    const other = setup();
    other.ticket.redeem(other.secret, 'm1');
    ticket.redeem(secret, 'm1');
    const late = setup();
    late.pass(60_000);
    const messages = [
      () => late.ticket.redeem(late.secret, 'm1'),
      () => other.ticket.redeem(other.secret, 'm1'),
      () => setup().ticket.redeem('x', 'm1'),
    ].map((act) => {
      try {
        act();
      } catch (thrown) {
        return (thrown as Error).message;
      }
      return 'admitted';
    });
    expect(new Set(messages).size).toBe(1);
    expect(messages[0]).toMatch(/wrong, used, expired/);
  });
});
