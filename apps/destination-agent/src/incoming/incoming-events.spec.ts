import type { LifecycleEvents } from '@vmferry/agent';
import { describe, expect, it } from 'vitest';
import { IncomingEvents } from './incoming-events.js';

const web = { uuid: '6ba7b810-9dad-11d1-80b4-00c04fd430c8', name: 'web' };

/** The log in memory: `life` begins a new life of the agent on it. */
function told(): { readonly all: string[]; readonly life: (since?: string) => IncomingEvents } {
  const all: string[] = [];
  const kept: ReturnType<LifecycleEvents['lifeOf']>[number][] = [];
  const facts = { at: '2026-01-01T00:00:00.000Z', hostName: 'here', domain: web, libvirt: { event: 0, detail: 0 } };
  const events: Pick<LifecycleEvents, 'emit' | 'lifeOf'> = {
    emit: (_domain, event) => {
      all.push(`${event.event}/${event.detail}`);
      kept.push({ id: kept.length + 1, ...facts, ...event });
    },
    lifeOf: (_uuid, since) =>
      since !== undefined
        ? kept.filter(({ at }) => at >= since)
        : kept.slice(
            Math.max(
              0,
              kept.findLastIndex(({ event }) => event === 'started'),
            ),
          ),
  };
  return {
    all,
    life: (since) => {
      if (since !== undefined) facts.at = since;
      return new IncomingEvents(events, web, since);
    },
  };
}

describe('the events of an incoming guest', () => {
  it('S48: what follows a decision is told once, however often the agent comes back to it', () => {
    const { all, life } = told();
    life().started();
    for (let times = 0; times < 3; times += 1) {
      life().defined('added');
      life().committed('run');
    }
    expect(all).toEqual(['started/migrated', 'defined/added', 'resumed/migrated']);
    life().ended('failed');
    expect(all).toHaveLength(3);
  });

  it('A9: paused', () => {
    const { all, life } = told();
    life().started();
    life().committed('paused');
    expect(all).toEqual(['started/migrated', 'suspended/paused']);
  });

  it('A9: a configuration that was kept is told as put back, behind the end', () => {
    const { all, life } = told();
    life().started();
    life().defined('updated');
    life().ended('failed');
    life().ended('failed');
    life().putBack('<old/>');
    expect(all.slice(1)).toEqual(['defined/updated', 'stopped/failed', 'defined/updated']);
  });

  it('A9: one that was never told as started has no end, and one that was never told as kept is not put back', () => {
    const { all, life } = told();
    life().ended('failed');
    life().committed('run');
    life().putBack(null);
    expect(all).toEqual([]);
    life().started();
    life().committed('run');
    // The next migration of it fails before its QEMU could be told of.
    life().ended('destroyed');
    expect(all).toEqual(['started/migrated', 'resumed/migrated']);
  });

  it('A9: OFFLINE: only its configuration is told of, once for each migration', () => {
    const { all, life } = told();
    life().started();
    life().defined('added');
    life().committed('run');
    const since = '2026-01-02T00:00:00.000Z';
    for (let times = 0; times < 2; times += 1) {
      life(since).defined('updated');
      life(since).committed('paused');
      life(since).ended('failed');
    }
    life(since).putBack('<old/>');
    expect(all.slice(3)).toEqual(['defined/updated', 'defined/updated']);
  });
});
