import { describe, expect, it } from 'vitest';
import { eventDetailNumber, eventNumber, eventsBetween, type LifecycleEvent } from './events.js';
import { parseState, reasonNumber, type StateWithReason, stateNumber } from './states.js';

describe('states', () => {
  it.each<[StateWithReason, number, number]>([
    [{ state: 'nostate', reason: 'unknown' }, 0, 0],
    [{ state: 'running', reason: 'booted' }, 1, 1],
    [{ state: 'running', reason: 'migrated' }, 1, 2],
    [{ state: 'running', reason: 'unpaused' }, 1, 5],
    [{ state: 'running', reason: 'migration canceled' }, 1, 6],
    [{ state: 'running', reason: 'save canceled' }, 1, 7],
    [{ state: 'blocked', reason: 'unknown' }, 2, 0],
    [{ state: 'paused', reason: 'user' }, 3, 1],
    [{ state: 'paused', reason: 'migration' }, 3, 2],
    [{ state: 'paused', reason: 'from-snapshot' }, 3, 7],
    [{ state: 'shutdown', reason: 'user' }, 4, 1],
    [{ state: 'shutoff', reason: 'migrated' }, 5, 4],
    [{ state: 'shutoff', reason: 'failed' }, 5, 6],
    [{ state: 'crashed', reason: 'unknown' }, 6, 0],
  ])('S48: %o has the numbers of libvirt and comes back from its text', (pair, state, reason) => {
    expect([stateNumber(pair), reasonNumber(pair)]).toEqual([state, reason]);
    expect(parseState(pair.state, pair.reason)).toEqual(pair);
  });

  it.each([
    ['running', 'user'],
    ['paused', 'booted'],
    ['idle', 'unknown'],
    ['running', 'toString'],
    ['__proto__', 'toString'],
    ['', ''],
  ])('S48: refuses the pair %s, %s', (state, reason) => expect(() => parseState(state, reason)).toThrow(/no domain state/));

  it('S48: a pair that does not exist does not type-check', () => {
    // @ts-expect-error: paused has no reason booted.
    const pair: StateWithReason = { state: 'paused', reason: 'booted' };
    expect(pair.state).toBe('paused');
  });
});

describe('lifecycle events', () => {
  it.each<[LifecycleEvent, number, number]>([
    [{ event: 'defined', detail: 'updated' }, 0, 1],
    [{ event: 'undefined', detail: 'removed' }, 1, 0],
    [{ event: 'started', detail: 'migrated' }, 2, 1],
    [{ event: 'suspended', detail: 'ioerror' }, 3, 2],
    [{ event: 'resumed', detail: 'migrated' }, 4, 1],
    [{ event: 'stopped', detail: 'failed' }, 5, 5],
  ])('%o has the numbers of libvirt', (event, number, detail) => {
    expect([eventNumber(event), eventDetailNumber(event)]).toEqual([number, detail]);
  });
});

describe('what is told of a change of state', () => {
  const booted = { state: 'running', reason: 'booted' } as const;
  const held = { state: 'paused', reason: 'migration' } as const;
  const off = { state: 'shutoff', reason: 'unknown' } as const;

  it.each<[string, StateWithReason, StateWithReason, string[]]>([
    ['boot', off, booted, ['started/booted']],
    ['boot, paused', off, { state: 'paused', reason: 'user' }, ['started/booted', 'suspended/paused']],
    ['restore', off, { state: 'running', reason: 'restored' }, ['started/restored']],
    ['suspend by a user', booted, { state: 'paused', reason: 'user' }, ['suspended/paused']],
    ['suspend by a migration', booted, held, ['suspended/migrated']],
    ['an error of a disk', booted, { state: 'paused', reason: 'ioerror' }, ['suspended/ioerror']],
    ['resume by a user', { state: 'paused', reason: 'user' }, { state: 'running', reason: 'unpaused' }, ['resumed/unpaused']],
    ['rollback', held, { state: 'running', reason: 'migration canceled' }, ['resumed/migrated']],
    ['rollback of a guest that ran on', booted, { state: 'running', reason: 'migration canceled' }, []],
    ['another reason of a pause', { state: 'paused', reason: 'user' }, held, []],
    ['the guest has left', held, { state: 'shutoff', reason: 'migrated' }, ['stopped/migrated']],
    ['power off', booted, { state: 'shutoff', reason: 'shutdown' }, ['stopped/shutdown']],
    ['destroy', booted, { state: 'shutoff', reason: 'destroyed' }, ['stopped/destroyed']],
    ['the end of QEMU', booted, { state: 'shutoff', reason: 'crashed' }, ['stopped/failed']],
    ['a start that failed', off, { state: 'shutoff', reason: 'failed' }, []],
  ])('A9: %s', (_what, told, now, events) => {
    expect(eventsBetween(told, now).map(({ event, detail }) => `${event}/${detail}`)).toEqual(events);
  });

  it('A9: a guest that panicked has crashed', () => {
    const crashed = { state: 'shutoff', reason: 'crashed' } as const;
    expect(eventsBetween(booted, crashed, { panicked: true })).toEqual([{ event: 'stopped', detail: 'crashed' }]);
  });
});
