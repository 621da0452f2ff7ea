import { VmferryError } from '@vmferry/errors';
import { DomainJobs } from '@vmferry/jobs';
import { ManualClock, systemRandom } from '@vmferry/seams';
import { ControlSessions } from '@vmferry/service';
import { beforeEach, describe, expect, it } from 'vitest';
import { settled, silentLog } from '../testing/spec-parts.js';
import { Autodestroy } from './autodestroy.js';
import type { Domain } from './domain.js';

let clock: ManualClock;
let sessions: ControlSessions;
let autodestroy: Autodestroy;
beforeEach(() => {
  clock = new ManualClock();
  sessions = new ControlSessions({ clock, random: systemRandom });
  autodestroy = new Autodestroy({ sessions, log: silentLog, clock, retryMs: 100 });
});

/** A domain of which only the guest is a double: the jobs that hold it are the real ones. */
function domainOf(name: string) {
  const ended: string[] = [];
  const domain = {
    name,
    guest: { name } as unknown as Domain['guest'],
    jobs: new DomainJobs({ clock, domain: name }),
    untie: (): void => undefined,
    failing: 0,
    tie(untie: () => void) {
      this.untie = untie;
    },
    end({ state, reason }: { state: string; reason: string }, audit: string | null) {
      if (this.failing-- > 0) return Promise.reject(new VmferryError('hypervisor-failed', 'It does not end.'));
      ended.push(`${state}/${reason} ${audit}`);
      this.guest = null;
      return Promise.resolve();
    },
    ended,
  };
  return domain;
}
const sessionOf = (owner = 'ops') => ({ session: sessions.create(owner, 10).id, principal: 'ops' });
const destroyed = ['shutoff/destroyed destroyed'];

describe('Autodestroy', () => {
  it('S19: the guests of a lost session are destroyed, and those of another session live', async () => {
    const [mine, alsoMine, other] = [domainOf('a'), domainOf('b'), domainOf('c')];
    const wish = sessionOf();
    autodestroy.tie(mine, wish);
    autodestroy.tie(alsoMine, wish);
    autodestroy.tie(other, sessionOf());
    sessions.end('ops', wish.session);
    await settled();
    expect([mine.ended, alsoMine.ended, other.ended]).toEqual([destroyed, destroyed, []]);
  });

  it('S17: one that is renewed keeps its guest, one that is not loses it', async () => {
    const domain = domainOf('a');
    const wish = sessionOf();
    autodestroy.tie(domain, wish);
    for (let renewal = 0; renewal < 5; renewal += 1) {
      clock.advance(9_000);
      sessions.renew('ops', wish.session);
    }
    await settled();
    expect(domain.ended).toEqual([]);
    clock.advance(10_000);
    await settled();
    expect(domain.ended).toEqual(destroyed);
  });

  it('S19: the async job that holds the guest is discarded first', async () => {
    const domain = domainOf('a');
    const wish = sessionOf();
    autodestroy.tie(domain, wish);
    const handle = await domain.jobs.beginAsync('save', 'somebody');
    await domain.jobs.setMask(handle, []);
    sessions.end('ops', wish.session);
    await settled();
    expect(domain.ended).toEqual(destroyed);
    expect(domain.jobs.state).toMatchObject({ sync: null, async: null });
    expect(domain.jobs.last).toMatchObject({ type: 'cancelled', job: 'save' });
  });

  it('S19: it waits for the command that is under way', async () => {
    const domain = domainOf('a');
    const wish = sessionOf();
    autodestroy.tie(domain, wish);
    const release = await domain.jobs.begin('modify', 'somebody');
    sessions.end('ops', wish.session);
    await settled();
    expect(domain.ended).toEqual([]);
    await release();
    await settled();
    expect(domain.ended).toEqual(destroyed);
  });

  it('S19: a guest that is gone meanwhile is tolerated, and its successor is not of this session', async () => {
    const domain = domainOf('a');
    const wish = sessionOf();
    autodestroy.tie(domain, wish);
    domain.guest = domainOf('next').guest;
    sessions.end('ops', wish.session);
    await settled();
    expect(domain.ended).toEqual([]);
  });

  it('S17: a guest that ended otherwise is not tied any more', async () => {
    const domain = domainOf('a');
    const wish = sessionOf();
    autodestroy.tie(domain, wish);
    domain.untie();
    sessions.end('ops', wish.session);
    await settled();
    expect(domain.ended).toEqual([]);
  });

  it('S19: one that cannot be ended now is ended later', async () => {
    const domain = domainOf('a');
    domain.failing = 2;
    const wish = sessionOf();
    autodestroy.tie(domain, wish);
    sessions.end('ops', wish.session);
    for (let turn = 0; turn < 3; turn += 1) {
      await settled();
      clock.advance(100);
    }
    await settled();
    expect(domain.ended).toEqual(destroyed);
  });

  it('S17: a session that is not there, or is of somebody else, is refused before anything', () => {
    expect(() => autodestroy.require(sessionOf('somebody else'))).toThrow(/no control session/);
    const lost = sessionOf();
    sessions.end('ops', lost.session);
    expect(() => autodestroy.require(lost)).toThrow(/no control session/);
    expect(() => autodestroy.tie(domainOf('a'), lost)).toThrow(/no control session/);
  });
});
