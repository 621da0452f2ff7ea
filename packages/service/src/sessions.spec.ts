import { ManualClock, systemRandom } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { ControlSessions } from './sessions.js';

function setup() {
  const clock = new ManualClock();
  return { clock, sessions: new ControlSessions({ clock, random: systemRandom }) };
}

describe('control sessions', () => {
  it('are lost by their TTL, and whoever is attached learns it once', () => {
    const { clock, sessions } = setup();
    const { id, ttlSeconds, expiresAt } = sessions.create('a');
    expect([ttlSeconds, expiresAt]).toEqual([15, '2030-01-01T00:00:15.000Z']);
    const ends: string[] = [];
    sessions.attach(id, (end) => ends.push(end));
    clock.advance(14_000);
    sessions.renew('a', id);
    clock.advance(14_000);
    expect(ends).toEqual([]);
    clock.advance(2_000);
    clock.advance(60_000);
    expect(ends).toEqual(['expired']);
    expect(() => sessions.renew('a', id)).toThrow(/no control session/);
  });

  it('are ended by DELETE at once; what was detached is not called', () => {
    const { clock, sessions } = setup();
    const { id } = sessions.create('a', 60);
    const ends: string[] = [];
    const detach = sessions.attach(id, () => ends.push('detached'));
    sessions.attach(id, (end) => ends.push(end));
    detach();
    sessions.end('a', id);
    expect([ends, clock.timers]).toEqual([['ended'], 0]);
    expect(() => sessions.attach(id, () => undefined)).toThrow(/no control session/);
  });

  it('belong to the principal that made them', () => {
    const { sessions } = setup();
    const { id } = sessions.create('a');
    for (const act of [() => sessions.renew('b', id), () => sessions.end('b', id), () => sessions.read('b', id)]) {
      expect(act).toThrow(/no control session/);
    }
    expect(sessions.read('a', id).id).toBe(id);
  });

  it('a process that was frozen past the TTL cannot renew', () => {
    const { clock, sessions } = setup();
    const { id } = sessions.create('a');
    const ends: string[] = [];
    sessions.attach(id, (end) => ends.push(end));
    clock.freeze(16_000);
    expect(() => sessions.renew('a', id)).toThrow(/no control session/);
    expect(ends).toEqual(['expired']);
  });

  it('are bounded', () => {
    const { sessions } = setup();
    for (let n = 0; n < 1_000; n += 1) sessions.create('a');
    expect(() => sessions.create('a')).toThrow(/1000 control sessions/);
  });
});
