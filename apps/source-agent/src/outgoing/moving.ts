import type { MigrationKey, SourceJournal } from '@vmferry/migration';
import type { Log } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import type { Domain } from '../domains/domain.js';
import { runOnHere } from './rollback.js';

/** What a migration moves, as the source's machine knows it: this host has it, or it is gone. */
export interface Moving {
  /** A fresh look: the other side may give up its copy on the answer. */
  look(): 'alive' | 'gone';
  /** Says on disk, beside the journal, which migration has it in hand. */
  mark(key: MigrationKey): Promise<void>;
  /** It stays here after all; false when that has to be tried again. */
  goOn(machine: SourceJournal): Promise<boolean>;
}

/** An active guest. Its process is looked at in the kernel, not in an event that may still be on its way. */
export function movingGuest(context: SourceContext, domain: Domain, log: Log): Moving {
  return {
    look: () => (domain.hasProcess ? 'alive' : 'gone'),
    mark: (key) => domain.activeGuest().update({ migration: { ...key, role: 'source' } }),
    goOn: (machine) => runOnHere(context, domain, machine, log),
  };
}

/**
 * The definition of a domain that is not active (OFFLINE). It stays as it is until the record says committed, so that there is nothing to mark and
 * nothing to bring back; the journal alone says that it is in hand.
 */
export function movingDefinition(domain: Pick<Domain, 'config'>): Moving {
  return {
    look: () => (domain.config === null ? 'gone' : 'alive'),
    mark: () => Promise.resolve(),
    goOn: () => Promise.resolve(true),
  };
}
