import { expect, it } from 'vitest';
import type { SourceContext } from '../context.js';
import type { Domain } from '../domains/domain.js';
import { movingDefinition } from './moving.js';
import { OfflineSending } from './offline-sending.js';

const key = { id: 'm1', nonce: '0'.repeat(32) };
const peer = { role: 'destination', url: 'http://b', storeId: 's' } as const;
// What is under test reads nothing else of the journal.
const journal = { value: { machine: { key } } } as ConstructorParameters<typeof OfflineSending>[0]['journal'];

function sending(o: { cancelled?: boolean; record?: 'open' | 'aborted'; arrives?: boolean } = {}) {
  const did: string[] = [];
  const sender = new OfflineSending({
    journal,
    record: {
      refuseUnlessOpen: () => {
        did.push('read');
        return o.record === 'aborted' ? Promise.reject(new Error('aborted')) : Promise.resolve();
      },
    },
    cancelWanted: () => o.cancelled === true,
    refuseUnlessMine: () => {
      did.push('look for arrivals');
      return o.arrives === true ? Promise.reject(new Error('it comes in')) : Promise.resolve();
    },
    onCancelled: () => Promise.resolve(void did.push('nothing was sent')),
  });
  return { did, sender };
}

it('S31: OFFLINE: what is moved is the definition: held as long as it is defined, and noted as leaving until the migration is over', async () => {
  const notes = new Map<string, typeof key>();
  const leaving = {
    readIfReadable: (uuid: string) => Promise.resolve(notes.get(uuid) ?? null),
    write: (uuid: string, value: typeof key) => Promise.resolve(void notes.set(uuid, value)),
    remove: (uuid: string) => Promise.resolve(void notes.delete(uuid)),
  };
  const domain: { uuid: string; config: string | null } = { uuid: 'u', config: '<domain/>' };
  // What is under test reads nothing else of either.
  const moving = movingDefinition({ leaving } as unknown as SourceContext, domain as Domain);
  expect(moving.look()).toBe('alive');
  await moving.mark(key);
  await moving.unmark({ ...key, nonce: '1'.repeat(32) });
  expect([...notes]).toEqual([['u', key]]);
  await moving.unmark(key);
  expect([...notes]).toEqual([]);
  domain.config = null;
  expect(moving.look()).toBe('gone');
});

it('S31: OFFLINE: Perform reads the record and sends nothing; a cancel is honoured before the permit', async () => {
  const open = sending();
  expect(await open.sender.send({ peer })).toEqual({ t: 'completed' });
  expect([open.did, open.sender.begun]).toEqual([['read', 'look for arrivals'], false]);
  await expect(sending({ record: 'aborted' }).sender.send({ peer })).rejects.toThrow('aborted');
  await expect(sending({ arrives: true }).sender.send({ peer })).rejects.toThrow('it comes in');
  await expect(sending({ cancelled: true }).sender.send({ peer })).rejects.toMatchObject({ code: 'migration-cancelled' });
});

it('S31: OFFLINE: a cancel is answered at once, and there are no limits to set', async () => {
  const { did, sender } = sending();
  await sender.cancel();
  expect(did).toEqual(['nothing was sent']);
  await expect(sender.steer({ bandwidthMibPerSec: 1 })).rejects.toMatchObject({ code: 'not-migrating' });
});
