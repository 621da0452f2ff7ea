import type { PrepareReply } from '@vmferry/api';
import { cookieToBase64, encodeCookie } from '@vmferry/cookie';
import type { DestinationContext } from '../context.js';
import type { IncomingJournal } from './incoming-journal.js';
import type { IncomingGuest, IncomingLease } from './incoming-migration.js';
import type { AcceptedPrepare } from './prepare-request.js';

/*
 * An offline migration as the destination's machine sees it. There is no QEMU: to the machine it is one that waits, `incoming`, so that every
 * abort before Finish is made at once and asks nobody, for nothing was copied; Finish says `loaded` once the configuration is kept. The mode of the
 * record is `paused`, so that `committing` is followed by `committed` without a `cont`, also after a restart of the agent.
 */

/** What looks like a QEMU that waits; there is none that could be run or ended. */
export const noGuest: IncomingGuest = {
  cont: () => Promise.resolve('refused'),
  look: () => Promise.resolve('incoming'),
  kill: () => Promise.resolve(),
};

/** Nobody runs, so nobody holds a lease, and none moves. */
export function noLease(journal: () => IncomingJournal, stillMine: () => Promise<boolean>): IncomingLease {
  return {
    take: () => Promise.resolve('taken'),
    giveBack: () => Promise.resolve({ t: 'returned', lease: journal().record.lease }),
    stillMine,
  };
}

/** Prepare's answer, journalled like any other: it names the record and no stream. */
export async function answerOffline(
  { host, publicUrl }: DestinationContext,
  { key, sourceName, definition }: AcceptedPrepare,
  keepAnswer: (reply: PrepareReply) => Promise<void>,
): Promise<PrepareReply> {
  const { hostName, hostUuid, storeId } = host;
  const peer = { role: 'destination', url: publicUrl(), storeId } as const;
  const vmferry = { migrationId: key.id, nonce: key.nonce, peer };
  const cookie = encodeCookie({ name: sourceName, uuid: definition.uuid, hostName, hostUuid, features: [], vmferry });
  const reply = { cookie: cookieToBase64(cookie), uri: null };
  await keepAnswer(reply);
  return reply;
}
