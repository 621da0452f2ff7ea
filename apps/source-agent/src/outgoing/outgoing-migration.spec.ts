import type { SourceJournal } from '@vmferry/migration';
import { ManualClock } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { settled, silentLog } from '../testing/spec-parts.js';
import { type Heard, OutgoingMigration, type OutgoingPorts } from './outgoing-migration.js';

const fresh = { key: { id: 'm1', nonce: '0'.repeat(32) }, permit: 'ab'.repeat(16), resumeOnRollback: true };
const destination = { url: 'http://b', storeId: 's' };

/** The shell with ports that note what they are asked, in order; a script changes what the world answers. */
function shell(restored?: { journal: Partial<SourceJournal>; qemu: 'alive' | 'gone' }) {
  const clock = new ManualClock();
  const done: string[] = [];
  const world = {
    journal: 'writable' as 'writable' | 'full',
    heard: { answer: 'aborted', lease: null } as Heard,
    resumes: true,
    fail: new Set<string>(),
  };
  const act = async (what: string) => {
    done.push(what);
    if (world.fail.delete(what)) throw new Error(`${what} failed`);
  };
  const ports: OutgoingPorts = {
    clock,
    log: silentLog,
    retryMs: 100,
    look: () => 'alive',
    persist: ({ stage }) => {
      done.push(world.journal === 'full' ? `cannot write ${stage}` : `write ${stage}`);
      return world.journal === 'full' ? Promise.reject(new Error('ENOSPC')) : Promise.resolve();
    },
    cancelQemu: () => act('cancel'),
    ask: async (abort) => {
      await act(abort ? 'ask to abort' : 'ask');
      return world.heard;
    },
    driveFinish: async () => {
      await act('finish');
      return world.heard;
    },
    leave: () => act('leave'),
    resume: async () => {
      await act('resume');
      return world.resumes;
    },
    destroyQemu: () => act('destroy'),
    acknowledge: () => act('acknowledge'),
    changed: () => undefined,
    ended: ({ journal }) => act(`ended ${journal.stage}`),
  };
  const migration =
    restored === undefined
      ? OutgoingMigration.begin(fresh, ports)
      : OutgoingMigration.restore(
          { ...OutgoingMigration.begin(fresh, ports).journal, destination, ...restored.journal },
          restored.qemu,
          ports,
        );
  const later = async (ms = 100) => {
    clock.advance(ms);
    await settled();
  };
  return { clock, done, world, migration, later };
}

async function permitted() {
  const parts = shell();
  await parts.migration.dispatch({ t: 'perform', destination });
  await parts.migration.dispatch({ t: 'qemu-completed' });
  parts.done.length = 0;
  return parts;
}

describe('OutgoingMigration', () => {
  it('writes each stage before what follows it, and ends once', async () => {
    const { done, world, migration } = await permitted();
    world.heard = { answer: 'committed', lease: null };
    await migration.dispatch({ t: 'confirm' });
    await migration.whenEnded(AbortSignal.timeout(1_000));
    await settled();
    expect(done).toEqual(['ask to abort', 'write leaving', 'leave', 'write left', 'acknowledge', 'ended left']);
    await migration.dispatch({ t: 'cancel' });
    expect(done).toHaveLength(6);
  });

  it('rule 1: after the permit only the record decides; a silent one is asked again and again', async () => {
    const { done, world, migration, later } = await permitted();
    world.heard = { answer: 'silent', lease: null };
    await migration.dispatch({ t: 'cancel' });
    await settled();
    await later();
    await later();
    expect(done).toEqual(['ask to abort', 'ask to abort', 'ask to abort']);
    expect(migration.journal.stage).toBe('permitted');
    world.heard = { answer: 'aborted', lease: 'l' };
    await later();
    expect(done.slice(4)).toEqual(['write resuming', 'resume', 'write stayed', 'acknowledge', 'ended stayed']);
  });

  it('rule 7: a Perform that cannot be written did not happen, and is not taken later behind the back of its caller', async () => {
    const { done, world, migration, later } = shell();
    world.journal = 'full';
    await expect(migration.dispatch({ t: 'perform', destination })).rejects.toMatchObject({ code: 'state-unwritable' });
    world.journal = 'writable';
    await later(10_000);
    expect([migration.journal.stage, done]).toEqual(['begun', ['cannot write performing']]);
    await migration.dispatch({ t: 'perform', destination });
    expect(migration.journal.stage).toBe('performing');
  });

  it('rule 7: a destroy that cannot be written is told, and is not done later', async () => {
    const { done, world, migration, later } = shell();
    world.journal = 'full';
    await expect(migration.dispatch({ t: 'destroy' })).rejects.toMatchObject({ code: 'state-unwritable' });
    world.journal = 'writable';
    await later(10_000);
    expect(done).not.toContain('destroy');
  });

  it('rule 7: a completed transfer that cannot be written is brought again until it is', async () => {
    const { done, world, migration, later } = shell();
    await migration.dispatch({ t: 'perform', destination });
    world.journal = 'full';
    await expect(migration.dispatch({ t: 'qemu-completed' })).rejects.toMatchObject({ code: 'state-unwritable' });
    await later();
    world.journal = 'writable';
    await later();
    expect(done.filter((what) => what.endsWith('permitted'))).toEqual([
      'cannot write permitted',
      'cannot write permitted',
      'write permitted',
    ]);
  });

  it('a guest that cannot be resumed at once is resumed later', async () => {
    const { done, world, migration, later } = shell();
    world.resumes = false;
    await migration.dispatch({ t: 'perform', destination });
    await migration.dispatch({ t: 'perform-failed' });
    await settled();
    world.resumes = true;
    await later();
    await settled();
    expect(done.filter((what) => what === 'resume')).toHaveLength(2);
    expect(migration.journal.stage).toBe('stayed');
  });

  it('an effect that throws is begun again, but not once the migration has ended without it', async () => {
    const { clock, done, world, migration, later } = shell();
    await migration.dispatch({ t: 'perform', destination });
    world.fail.add('cancel');
    await migration.dispatch({ t: 'cancel' });
    await settled();
    await later();
    expect(done.filter((what) => what === 'cancel')).toHaveLength(2);
    world.fail.add('cancel');
    await migration.dispatch({ t: 'cancel' });
    await migration.dispatch({ t: 'perform-failed' });
    await settled();
    expect(migration.journal.stage).toBe('stayed');
    const before = done.length;
    await later(10_000);
    expect([done.length, clock.timers]).toEqual([before, 0]);
  });

  it('what follows the end is tried until it is done, and nobody is told of the end before', async () => {
    const { done, world, migration, later } = shell();
    await migration.dispatch({ t: 'perform', destination });
    world.fail.add('ended stayed');
    await migration.dispatch({ t: 'perform-failed' });
    await settled();
    let told = false;
    const ended = migration.whenEnded(new AbortController().signal).then(() => {
      told = true;
    });
    await settled();
    expect([migration.journal.stage, told]).toEqual(['stayed', false]);
    await later();
    await ended;
    await later(10_000);
    expect(done.filter((what) => what === 'ended stayed')).toHaveLength(2);
  });

  it('Restart of an agent: permitted and QEMU gone drives Finish; leaving goes on', async () => {
    const gone = shell({ journal: { stage: 'permitted' }, qemu: 'gone' });
    gone.world.heard = { answer: 'committed', lease: null };
    await gone.migration.recover();
    await settled();
    expect(gone.done.filter((what) => !what.startsWith('write'))).toEqual(['finish', 'leave', 'acknowledge', 'ended left']);
    const leaving = shell({ journal: { stage: 'leaving' }, qemu: 'alive' });
    await leaving.migration.recover();
    await settled();
    expect(leaving.done).toEqual(['leave', 'write left', 'acknowledge', 'ended left']);
  });

  it('Restart of an agent: a recovery that cannot be written is tried again', async () => {
    const { world, migration, later } = shell({ journal: { stage: 'begun' }, qemu: 'alive' });
    world.journal = 'full';
    await migration.recover();
    expect(migration.journal.stage).toBe('begun');
    world.journal = 'writable';
    await later();
    expect(migration.journal.stage).toBe('stayed');
  });

  it('until resolves when what it waits for holds, and when its signal aborts', async () => {
    const { migration } = shell();
    const performing = migration.until(({ journal }) => journal.stage === 'performing', new AbortController().signal);
    await migration.dispatch({ t: 'perform', destination });
    await performing;
    const abort = new AbortController();
    const never = migration.whenEnded(abort.signal);
    abort.abort();
    await never;
    expect(migration.journal.stage).toBe('performing');
  });
});
