import { type OutcomeRecord, permitDigest, type SourceWord } from '@vmferry/migration';
import { ManualClock, noFaults } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { settled, silentLog } from '../testing/destination-context.js';
import { type IncomingGuest, IncomingMigration } from './incoming-migration.js';

const permit = 'ab'.repeat(16);
const record: OutcomeRecord = {
  version: 1,
  key: { id: 'm1', nonce: '0'.repeat(32) },
  decision: 'open',
  mode: 'run',
  permitDigest: permitDigest(permit),
  source: { url: 'http://a', storeId: 's', hostName: 'a', hostUuid: 'u' },
  lease: null,
  reason: null,
};
const quiet = { ...silentLog, error: () => undefined, warn: () => undefined };

/** The shell with ports that note what they are asked, in order; a script changes what the world answers. */
function shell(first: OutcomeRecord = record) {
  const clock = new ManualClock();
  const done: string[] = [];
  const world = {
    qemu: 'loaded' as Awaited<ReturnType<IncomingGuest['look']>>,
    cont: 'ok' as Awaited<ReturnType<IncomingGuest['cont']>>,
    word: { t: 'holds' } as SourceWord,
    journal: 'writable' as 'writable' | 'full',
    leaseFails: 0,
    concludeFails: 0,
  };
  const migration = new IncomingMigration(first, {
    clock,
    faults: noFaults,
    log: quiet,
    retryMs: 100,
    persist: ({ decision }) => {
      done.push(world.journal === 'full' ? `cannot write ${decision}` : `write ${decision}`);
      return world.journal === 'full' ? Promise.reject(new Error('ENOSPC')) : Promise.resolve();
    },
    askSource: () => {
      done.push('ask');
      return Promise.resolve(world.word);
    },
    guest: {
      cont: () => {
        done.push('cont');
        if (world.cont === 'ok') world.qemu = 'resumed';
        return Promise.resolve(world.cont);
      },
      look: () => Promise.resolve(world.qemu),
      kill: () => {
        done.push('kill');
        world.qemu = 'gone';
        return Promise.resolve();
      },
    },
    lease: {
      take: () => {
        done.push('take lease');
        if (world.leaseFails-- > 0) return Promise.reject(new Error('the lock store is away'));
        return Promise.resolve('taken');
      },
      giveBack: () => {
        done.push('give lease back');
        return Promise.resolve({ t: 'returned', lease: 'l' });
      },
      stillMine: () => {
        done.push('recheck');
        return Promise.resolve(true);
      },
    },
    conclude: ({ decision }) => {
      done.push(`conclude ${decision}`);
      return world.concludeFails-- > 0 ? Promise.reject(new Error('no room')) : Promise.resolve();
    },
    changed: () => undefined,
  });
  const later = async (ms = 100) => {
    clock.advance(ms);
    await settled();
  };
  return { clock, done, world, migration, later };
}

describe('IncomingMigration', () => {
  it('rule 3: lease, committing, re-check, cont, proof, committed, in this order and each record before what follows', async () => {
    const { done, migration } = shell();
    await migration.dispatch({ t: 'qemu-loaded' });
    await migration.dispatch({ t: 'finish', permit });
    await settled();
    expect(done).toEqual(['take lease', 'write committing', 'recheck', 'cont', 'write committed', 'conclude committed']);
    expect(migration.answer).toBe('committed');
  });

  it('rule 1: a wrong permit does nothing', async () => {
    const { done, migration } = shell();
    await migration.dispatch({ t: 'qemu-loaded' });
    await migration.dispatch({ t: 'finish', permit: 'cd'.repeat(16) });
    await settled();
    expect([done, migration.answer]).toEqual([[], 'open']);
  });

  it('rule 7: committing that cannot be written: no cont; it is tried again and then goes on', async () => {
    const { done, world, migration, later } = shell();
    world.journal = 'full';
    await migration.dispatch({ t: 'qemu-loaded' });
    await migration.dispatch({ t: 'finish', permit });
    await settled();
    expect(done).toEqual(['take lease', 'cannot write committing']);
    expect(migration.held?.reason).toBe('journal-unwritable');
    world.journal = 'writable';
    await later();
    expect(done.slice(2)).toEqual(['take lease', 'write committing', 'recheck', 'cont', 'write committed', 'conclude committed']);
  });

  it('rule 7: a wish to abort that cannot be written is told, and is not forgotten', async () => {
    const { done, world, migration, later } = shell();
    world.qemu = 'incoming';
    world.journal = 'full';
    await expect(migration.wantAbort('the session was lost')).rejects.toMatchObject({ code: 'state-unwritable' });
    expect([migration.answer, done]).toEqual(['open', ['cannot write aborted']]);
    world.journal = 'writable';
    await later();
    expect(done.slice(1)).toEqual(['write aborted', 'kill', 'conclude aborted']);
    expect(migration.record.reason).toBe('the session was lost');
  });

  it('rule 7: an end of QEMU that cannot be written is not forgotten', async () => {
    const { done, world, migration, later } = shell({ ...record, decision: 'committing' });
    world.qemu = 'gone';
    world.journal = 'full';
    await migration.recover();
    await settled();
    expect(migration.answer).toBe('pending');
    world.journal = 'writable';
    await later();
    expect([migration.answer, done.includes('cont')]).toEqual(['unknown', false]);
  });

  it('rule 5: a loaded image is not killed on a wish: the source is asked, the lease goes back, the source is asked again', async () => {
    const { done, migration } = shell();
    await migration.wantAbort('a client says so');
    await settled();
    expect(done).toEqual(['ask', 'give lease back', 'ask', 'write aborted', 'kill', 'conclude aborted']);
  });

  it('rule 5: a silent source keeps it held, and it is asked in the pace of the retries', async () => {
    const { done, world, migration, later } = shell();
    world.word = { t: 'silent' };
    await migration.wantAbort('a client says so');
    await settled();
    const { held } = migration;
    expect(held?.reason).toBe('source-silent');
    await later();
    await later();
    expect(migration.held, 'held since the first time').toEqual(held);
    expect(done).toEqual(['ask', 'ask', 'ask']);
  });

  it('an effect that throws is begun again', async () => {
    const { done, world, migration, later } = shell();
    world.leaseFails = 2;
    await migration.dispatch({ t: 'qemu-loaded' });
    await migration.dispatch({ t: 'finish', permit });
    await settled();
    await later();
    await later();
    expect(done.filter((what) => what === 'take lease')).toHaveLength(3);
    expect(migration.answer).toBe('committed');
  });

  it('what follows a decision is done again until it is done', async () => {
    const { done, world, migration, later } = shell();
    world.qemu = 'incoming';
    world.concludeFails = 1;
    await migration.wantAbort('x');
    await settled();
    await later();
    expect(done).toEqual(
      ['write aborted', 'kill', 'conclude aborted', 'conclude aborted'].filter((what, at, all) => all.indexOf(what) <= at),
    );
    await migration.concluded();
  });

  it('one event at a time: two wishes at once make one decision', async () => {
    const { done, world, migration } = shell();
    world.qemu = 'incoming';
    await Promise.all([migration.wantAbort('one'), migration.wantAbort('two')]);
    await settled();
    expect(done.filter((what) => what === 'write aborted')).toHaveLength(1);
    expect(migration.record.reason).toBe('one');
  });

  it('until resolves when what it waits for holds, and when its signal aborts', async () => {
    const { world, migration } = shell();
    world.qemu = 'incoming';
    const decided = migration.until(({ answer }) => answer === 'aborted', new AbortController().signal);
    await migration.wantAbort('x');
    await decided;
    const abort = new AbortController();
    const never = migration.until(() => false, abort.signal);
    abort.abort();
    await never;
  });
});
