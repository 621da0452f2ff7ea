import type { MigrationKey, SourceJournal } from '@vmferry/migration';
import type { Log } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import { type ArrivalPorts, refuseIncoming } from '../domains/arriving.js';
import type { Domain } from '../domains/domain.js';
import { runOnHere } from './rollback.js';

/** What a migration moves, as the source's machine knows it: this host has it, or it is gone. */
export interface Moving {
  /** A fresh look: the other side may give up its copy on the answer. */
  look(): 'alive' | 'gone';
  /** Says on disk, beside the journal, which migration has it in hand. */
  mark(key: MigrationKey): Promise<void>;
  /** The migration is over, or never came to be. */
  unmark(key: MigrationKey): Promise<void>;
  /** Throws when it may not be handed over after all; looked at before the permit. */
  refuseUnlessMine(): Promise<void>;
  /** It stays here after all; false when that has to be tried again. */
  goOn(machine: SourceJournal): Promise<boolean>;
}

/** An active guest. Its process is looked at in the kernel, not in an event that may still be on its way. */
export function movingGuest(context: SourceContext, domain: Domain, log: Log): Moving {
  return {
    look: () => (domain.hasProcess ? 'alive' : 'gone'),
    mark: (key) => domain.activeGuest().update({ migration: { ...key, role: 'source' } }),
    unmark: async ({ nonce }) => {
      const { guest } = domain;
      if (guest?.alive === true && guest.status.migration?.nonce === nonce) await guest.update({ migration: null });
    },
    // Its status document has kept everybody else away since Begin.
    refuseUnlessMine: () => Promise.resolve(),
    goOn: (machine) => runOnHere(context, domain, machine, log),
  };
}

/**
 * The definition of a domain that is not active (OFFLINE). It stays as it is until the record says committed, so that there is nothing to bring
 * back. Its note keeps the destination-agent of this host from taking in another one meanwhile; which of the two was first is seen by both, each after
 * it has written its own note.
 */
export function movingDefinition(context: Pick<SourceContext, 'leaving'> & ArrivalPorts, domain: Domain): Moving {
  const { leaving } = context;
  return {
    look: () => (domain.config === null ? 'gone' : 'alive'),
    mark: (key) => leaving.write(domain.uuid, key),
    unmark: async ({ nonce }) => {
      // The journal says that it is over; a note that was set aside is for a person.
      if ((await leaving.readIfReadable(domain.uuid))?.nonce === nonce) await leaving.remove(domain.uuid);
    },
    refuseUnlessMine: () => refuseIncoming(context, domain),
    goOn: () => Promise.resolve(true),
  };
}
