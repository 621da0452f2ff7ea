import type { MigrationResource } from '@vmferry/api';
import { ManualClock } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { LiveMigration } from './live-resource.js';

/** A migration with what its events depend on. */
function live() {
  const first: Partial<MigrationResource> = {
    state: 'RUNNING',
    phase: 'begin',
    phaseTransitions: [],
    guest: { runningOn: 'source', detail: 'a' },
    outcome: null,
    cancel: null,
  };
  const migration = new LiveMigration(new ManualClock(), first as MigrationResource); // Nothing else of it is read.
  const told: string[] = [];
  migration.publisher.subscribe(({ event, value }) => told.push(`${event} ${value.phase} ${value.state}`));
  return { migration, told };
}

describe('the events of a migration', () => {
  it('are a phase when phase, state, guest or outcome is another, progress when something else is, and none when nothing is', () => {
    const { migration, told } = live();
    migration.update('phase', { state: 'RUNNING', guest: { runningOn: 'source', detail: 'a' } });
    expect(told).toEqual([]);
    migration.update('phase', { cancel: { requestedAt: '', requestedBy: 'x', outcome: 'PENDING' } });
    migration.update('phase', { cancel: { requestedAt: '', requestedBy: 'x', outcome: 'PENDING' }, state: 'CANCELLING' });
    migration.update('phase', { outcome: 'aborted' });
    migration.update('phase', { guest: { runningOn: 'source', detail: 'b' } });
    expect(told).toEqual([
      'progress begin RUNNING',
      'phase begin CANCELLING',
      'phase begin CANCELLING',
      'phase begin CANCELLING',
    ]);
    migration.update('done', {});
    expect(told.at(-1)).toBe('done begin CANCELLING');
  });

  it('tell a phase that is entered, and the same one again only at the other side', () => {
    const { migration, told } = live();
    migration.enter('prepare', 'destination');
    migration.enter('prepare', 'destination');
    expect(told).toEqual(['phase prepare RUNNING']);
    migration.enter('prepare', 'source');
    expect(told).toEqual(['phase prepare RUNNING', 'progress prepare RUNNING']);
    expect(migration.value.phaseTransitions).toHaveLength(2);
  });
});
