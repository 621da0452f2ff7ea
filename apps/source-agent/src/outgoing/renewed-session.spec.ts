import type { DestinationAgentClient } from '@vmferry/client';
import { ManualClock } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { settled, silentLog } from '../testing/spec-parts.js';
import { RenewedSession } from './renewed-session.js';

function session(renew: () => Promise<unknown> = () => Promise.resolve()) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const note = (what: string, answer: Promise<unknown>) => {
    asked.push(what);
    return answer;
  };
  // It stands for the agent of the other host.
  const destination = {
    createSession: ({ ttlSeconds }: { ttlSeconds: number }) => note(`create ${ttlSeconds}`, Promise.resolve({ id: 's' })),
    renewSession: (id: string) => note(`renew ${id}`, renew()),
    endSession: (id: string) => note(`end ${id}`, Promise.reject(new Error('it is gone'))),
  } as unknown as DestinationAgentClient;
  return { clock, asked, session: new RenewedSession(clock, destination, 15, silentLog) };
}

describe('RenewedSession', () => {
  it('is renewed every third of its TTL, until it is ended', async () => {
    const { clock, asked, session: held } = session();
    expect(await held.opened).toBe('s');
    clock.advance(4_999);
    expect(asked).toEqual(['create 15']);
    clock.advance(1);
    clock.advance(5_000);
    expect(asked).toEqual(['create 15', 'renew s', 'renew s']);
    await held.end();
    clock.advance(60_000);
    expect([asked.slice(3), clock.timers]).toEqual([['end s'], 0]);
  });

  it('a renewal that fails is not the last one', async () => {
    const { clock, asked, session: held } = session(() => Promise.reject(new Error('away')));
    await held.opened;
    clock.advance(5_000);
    await settled();
    clock.advance(5_000);
    expect(asked).toEqual(['create 15', 'renew s', 'renew s']);
    await held.end();
  });
});
