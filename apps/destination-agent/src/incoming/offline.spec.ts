import { type OutcomeRecord, permitDigest } from '@vmferry/migration';
import { ManualClock, noFaults } from '@vmferry/seams';
import { expect, it } from 'vitest';
import { settled, silentLog } from '../testing/destination-context.js';
import { hasArrivedOffline, type IncomingJournal } from './incoming-journal.js';
import { IncomingMigration } from './incoming-migration.js';
import { noGuest, noLease } from './offline.js';

const permit = 'ab'.repeat(16);
const record: OutcomeRecord = {
  version: 1,
  key: { id: 'm1', nonce: '0'.repeat(32) },
  decision: 'open',
  mode: 'paused',
  permitDigest: permitDigest(permit),
  source: { url: 'http://a', storeId: 's', hostName: 'a', hostUuid: 'u' },
  lease: 'as offered',
  reason: null,
};

/** The machine's shell without a guest: what it writes, and whether it asks its source. */
function offline(decision: OutcomeRecord['decision'] = 'open') {
  const done: string[] = [];
  const journal = () => ({ record: migration.record }) as IncomingJournal; // The lease reads nothing else of it.
  const migration: IncomingMigration = new IncomingMigration(
    { ...record, decision },
    {
      clock: new ManualClock(),
      faults: noFaults,
      log: silentLog,
      retryMs: 100,
      persist: ({ decision: written }) => Promise.resolve(void done.push(`write ${written}`)),
      askSource: () => {
        done.push('ask');
        return Promise.resolve({ t: 'holds' });
      },
      guest: noGuest,
      lease: noLease(journal, () => Promise.resolve(void done.push('recheck')).then(() => true)),
      conclude: ({ decision: made }) => Promise.resolve(void done.push(`conclude ${made}`)),
      changed: () => undefined,
    },
  );
  return { done, migration };
}

it('S31: OFFLINE: every abort before Finish is made at once and asks nobody', async () => {
  const { done, migration } = offline();
  await migration.wantAbort('the session is lost');
  await settled();
  expect(done).toEqual(['write aborted', 'conclude aborted']);
  expect(migration.record.lease).toBe('as offered');
  await migration.dispatch({ t: 'qemu-loaded' });
  await migration.dispatch({ t: 'finish', permit });
  expect(migration.answer).toBe('aborted');
});

it('S31: OFFLINE: Finish with the permit commits, checked again in between; with another it does nothing', async () => {
  const { done, migration } = offline();
  await migration.dispatch({ t: 'qemu-loaded' });
  await migration.dispatch({ t: 'finish', permit: 'cd'.repeat(16) });
  await settled();
  expect(done).toEqual([]);
  await migration.dispatch({ t: 'finish', permit });
  await settled();
  expect(done).toEqual(['write committing', 'recheck', 'write committed', 'conclude committed']);
});

it.each([
  ['open', ['write aborted', 'conclude aborted']],
  ['committing', ['recheck', 'write committed', 'conclude committed']],
] as const)(
  'S31: OFFLINE: after a restart of the agent a record that is %s goes its way without a word of the source',
  async (decision, did) => {
    const { done, migration } = offline(decision);
    await migration.recover();
    await settled();
    expect(done).toEqual(did);
  },
);

it('a definition has arrived once its record says committed, and a guest never that way', () => {
  const arrived = (flags: string[], decision: OutcomeRecord['decision']) =>
    hasArrivedOffline({ flags, record: { ...record, decision } });
  expect([arrived(['OFFLINE'], 'committed'), arrived(['OFFLINE'], 'committing'), arrived(['LIVE'], 'committed')]).toEqual([
    true,
    false,
    false,
  ]);
});
