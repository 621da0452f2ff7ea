import { unbound } from '@vmferry/migration';
import { expect, it } from 'vitest';
import type { DestinationContext } from '../context.js';
import { silentLog, timedContext } from '../testing/destination-context.js';
import type { IncomingJournal } from './incoming-journal.js';
import { Incomings, recordsMax } from './incomings.js';

const dayMs = 24 * 3_600 * 1_000;
const nonce = '0'.repeat(32);

/** Records of a host that has stood for long: one each `everyMs`, the last of them now, in a store that is kept in memory. */
async function fullHost(everyMs: number, acknowledged: boolean) {
  const { context: timed, clock } = timedContext();
  const journals = Array.from({ length: recordsMax }, (_, n): IncomingJournal => {
    const at = new Date(clock.wall().getTime() - (recordsMax - n) * everyMs).toISOString();
    const domain = { uuid: `u${n}`, name: `g${n}`, sourceName: `g${n}`, xml: '', persist: false };
    const key = { id: `m${n}`, nonce };
    const record = { version: 1, key, decision: 'committed', mode: 'run', ...unbound, reason: null } as const;
    const facts = { configBefore: null, transport: 'direct', driver: 'managed', prepareAnswer: null } as const;
    const ends = { prepareDigest: null, concluded: true, acknowledged, finishedAt: at };
    return { version: 1, record, createdAt: at, protocol: 'v3', domain, flags: [], ...facts, ...ends };
  });
  const removed: string[] = [];
  const context = {
    ...timed,
    log: silentLog,
    host: { hostName: 'here', hostUuid: '', storeId: '' },
    publicUrl: () => '',
    // The documents that are read at the start, and which of them are removed.
    journals: {
      list: () => Promise.resolve(journals.map((value) => ({ name: value.record.key.id, value }))),
      remove: (name: string) => Promise.resolve(void removed.push(name)),
    } as unknown as DestinationContext['journals'],
    arrivals: { list: () => Promise.resolve([]) } as unknown as DestinationContext['arrivals'],
  };
  const incomings = new Incomings(context); // What is under test reads nothing else of it.
  await incomings.load();
  const prepare = () => incomings.prepare('new', { nonce, xml: '<' }, { protocol: 'v3', transport: 'direct' }, () => undefined);
  return { clock, removed, prepare, incomings };
}

it('a thousand records a day fit: Prepare is refused when they are full, and those that may go, go when they are, without a restart', async () => {
  const { clock, removed, prepare, incomings } = await fullHost((30 * dayMs) / recordsMax, true);
  await expect(prepare()).rejects.toMatchObject({ code: 'state-unwritable', message: expect.stringMatching(/30000 records/) });
  expect(removed).toEqual([]);
  clock.advance(dayMs);
  await expect(prepare()).rejects.toMatchObject({ code: expect.not.stringMatching('state-unwritable') });
  expect(removed).toHaveLength(100);
  expect(incomings.list()).toHaveLength(recordsMax - 100);
});

it('a record that its source has not acknowledged never goes', async () => {
  const { clock, removed, prepare } = await fullHost(dayMs, false);
  clock.advance(100 * dayMs);
  await expect(prepare()).rejects.toMatchObject({ code: 'state-unwritable' });
  expect(removed).toEqual([]);
});
