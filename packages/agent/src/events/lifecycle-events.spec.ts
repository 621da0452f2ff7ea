import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LifecycleEvent } from '@vmferry/domain';
import { ManualClock } from '@vmferry/seams';
import type { Log } from '@vmferry/service';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EventLog } from './event-log.js';
import { LifecycleEvents } from './lifecycle-events.js';

const web = { uuid: '6ba7b810-9dad-11d1-80b4-00c04fd430c8', name: 'web' };
const db = { uuid: '6ba7b811-9dad-11d1-80b4-00c04fd430c8', name: 'db' };
const booted: LifecycleEvent = { event: 'started', detail: 'booted' };
const stopped: LifecycleEvent = { event: 'stopped', detail: 'failed' };

let folder: string;
let logged: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'events-'));
  logged = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

const log: Log = {
  error: (message) => logged.push(message),
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => log,
};

function eventsOf(path: string, clock = new ManualClock()): LifecycleEvents {
  return new LifecycleEvents({ kept: EventLog.open(path, () => undefined), clock, hostName: 'here', log });
}

function heardBy(events: Pick<LifecycleEvents, 'subscribe'>): string[] {
  const heard: string[] = [];
  events.subscribe(({ value, generation, event }) => {
    heard.push(`${event} ${value.domain.name} ${value.event}/${value.detail} ${value.id === generation}`);
  });
  return heard;
}

describe('lifecycle events', () => {
  it("A9: are told with libvirt's numbers, and written before they are told", () => {
    const events = eventsOf(join(folder, 'e'));
    let again: number | undefined;
    events.subscribe(() => {
      again = eventsOf(join(folder, 'e')).opening(0).length;
    });
    events.emit(web, { event: 'suspended', detail: 'migrated' });
    expect(again).toBe(1);
    const [first] = events.opening(0);
    expect(first).toMatchObject({
      event: 'lifecycle',
      value: { hostName: 'here', domain: web, event: 'suspended', detail: 'migrated' },
    });
    expect(first?.value.libvirt).toEqual({ event: 3, detail: 1 });
  });

  it('ids grow over restarts, also when the clock was set back, and when the log was lost', () => {
    const late = new ManualClock();
    late.advance(5_000);
    const path = join(folder, 'e');
    eventsOf(path, late).emit(web, booted);
    const early = eventsOf(path);
    early.emit(web, stopped);
    const ids = early.opening(0).map(({ generation }) => generation);
    expect(ids[1]).toBe((ids[0] ?? 0) + 1);
    rmSync(path);
    late.advance(5_000);
    const anew = eventsOf(path, late);
    anew.emit(web, booted);
    expect(anew.generation).toBeGreaterThan(ids[1] ?? 0);
  });

  it('are told from now on, behind an id, and of one domain', () => {
    const events = eventsOf(join(folder, 'e'));
    const [all, one] = [heardBy(events), heardBy(events.of(web.uuid.toUpperCase()))];
    events.emit(web, booted);
    events.emit(db, booted);
    const between = events.generation;
    events.emit(web, stopped);
    expect(all).toEqual([
      'lifecycle web started/booted true',
      'lifecycle db started/booted true',
      'lifecycle web stopped/failed true',
    ]);
    expect(one).toEqual([all[0], all[2]]);
    expect(events.opening(undefined)).toEqual([]);
    expect(events.opening(between).map(({ value }) => value.event)).toEqual(['stopped']);
    expect(
      events
        .of('db')
        .opening(0)
        .map(({ value }) => value.domain.name),
    ).toEqual(['db']);
    expect(events.of('db').generation).toBe(events.generation);
  });

  it('know of a domain what was told since it was started last', () => {
    const events = eventsOf(join(folder, 'e'));
    expect(events.lifeOf(web.uuid)).toEqual([]);
    for (const event of [booted, stopped, booted]) events.emit(web, event);
    events.emit(db, stopped);
    expect(events.lifeOf(web.uuid).map(({ event }) => event)).toEqual(['started']);
    expect(events.lifeOf(db.uuid)).toEqual([]);
  });

  it.each([
    ['that cannot be kept', web, '/dev/full'],
    ['of a domain without a name', { uuid: web.uuid, name: '' }, null],
    ['of no domain', { uuid: 'none', name: 'web' }, null],
  ])('S14: an event %s never fails the operation, is logged, and is told to nobody', (_what, domain, path) => {
    const events = eventsOf(path ?? join(folder, 'e'));
    const heard = heardBy(events);
    expect(() => events.emit(domain, booted)).not.toThrow();
    expect(logged).toEqual(['a lifecycle event was lost']);
    expect([heard, events.opening(0)]).toEqual([[], []]);
  });

  it('S14: the events behind one that was lost are told', () => {
    const path = join(folder, 'e');
    writeFileSync(path, '');
    const events = eventsOf(path);
    const heard = heardBy(events);
    events.emit({ uuid: web.uuid, name: '' }, booted);
    events.emit(web, booted);
    expect(heard).toEqual(['lifecycle web started/booted true']);
  });
});
