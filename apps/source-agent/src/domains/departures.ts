import { VmferryError } from '@vmferry/errors';
import { hasEnded } from '@vmferry/migration';
import type { SourceContext } from '../context.js';
import type { OutgoingJournal } from '../outgoing/outgoing-journal.js';

/** What a migration that is over means for where its guest is; to be told in the order in which they began. */
export function noteDeparture({ departures }: Pick<SourceContext, 'departures'>, journal: OutgoingJournal): void {
  if (!hasEnded(journal.machine)) return;
  if (journal.machine.stage === 'left') departures.set(journal.domain.uuid, journal);
  else departures.delete(journal.domain.uuid);
}

/**
 * Refuses to start a guest that runs where it has gone to: QEMU's image lock alone would keep two copies apart, and only on disks that it writes.
 * Throws `domain-elsewhere`, and `peer-unreachable` when the other host cannot say. Where it went from there is not known.
 */
export async function refuseElsewhere(
  { departures, destinationAgent, log }: Pick<SourceContext, 'departures' | 'destinationAgent' | 'log'>,
  { uuid, name }: { readonly uuid: string; readonly name: string },
): Promise<void> {
  const left = departures.get(uuid);
  const destination = left?.machine.destination;
  if (left === undefined || destination == null) return;
  const { id, nonce } = left.machine.key;
  const data = { host: left.destinationHost, agent: destination.url, migrationId: id };
  const where = `${left.destinationHost ?? 'the host'} (${destination.url})`;
  let guestHere: boolean | null = null;
  try {
    const question = { nonce, storeId: destination.storeId, abortUnlessCommitted: false, uuid };
    ({ guestHere } = await destinationAgent(destination.url).outcome(id, question));
  } catch (error) {
    log.warn('whether a guest that has left runs on there cannot be asked', { domain: name, ...data, error });
  }
  if (guestHere === false) return;
  const [code, detail] = guestHere
    ? (['domain-elsewhere', `it runs on ${where}. Migrate it back, or destroy it there`] as const)
    : (['peer-unreachable', `whether it runs on ${where} cannot be asked. Try again when that host answers`] as const);
  throw new VmferryError(
    code,
    `The domain ${name} has left this host by migration ${id}, and ${detail}; force starts it here all the same, and then two copies may run.`,
    { data },
  );
}
