import type { MigrationResource } from '@vmferry/api';
import { toProblem, VmferryError } from '@vmferry/errors';
import { type HeldReason, isBound, isOffline, type OutcomeRecord } from '@vmferry/migration';
import type { DestinationContext } from '../context.js';
import type { IncomingJournal } from './incoming-journal.js';
import type { IncomingMigration } from './incoming-migration.js';

type Changing = Pick<
  MigrationResource,
  'state' | 'guest' | 'source' | 'destination' | 'outcome' | 'held' | 'error' | 'finishedAt'
>;

/** The resource of an incoming migration as its journal alone tells it. */
export function firstResource(context: DestinationContext, journal: IncomingJournal): Omit<MigrationResource, 'generation'> {
  const { record, domain } = journal;
  return {
    id: record.key.id,
    side: 'destination',
    state: stateOf(journal, null),
    phase: 'prepare',
    phaseTransitions: [{ phase: 'prepare', side: 'destination', at: journal.createdAt }],
    domain: { uuid: domain?.uuid ?? '', name: domain?.sourceName ?? '', destinationName: domain?.name ?? '' },
    protocol: journal.protocol,
    mode: { driver: journal.driver, transport: journal.transport },
    flags: journal.flags,
    guest: guestOf(journal, record.decision),
    source: sourceOf(record),
    destination: { agent: context.publicUrl(), hostName: context.host.hostName, state: record.decision },
    // Its source tells it, and the domain once it is here.
    display: null,
    outcome: record.decision === 'committing' ? 'pending' : record.decision,
    parameters: { bandwidthBytesPerSec: null, downtimeMsMax: 0, parallelConnections: null },
    progress: null,
    cancel: null,
    timeouts: null,
    forceComplete: null,
    held: null,
    error: keptError(record),
    createdAt: journal.createdAt,
    finishedAt: journal.finishedAt,
  };
}

/** The reason is all that the record keeps of an error, for an agent that was started again. */
function keptError({ decision, reason }: OutcomeRecord): MigrationResource['error'] {
  if (decision !== 'aborted' || reason === null) return null;
  return {
    ...toProblem(new VmferryError('migration-aborted', `The migration was given up: ${reason}.`, { side: 'destination' })),
  };
}

/** What changes in it with each step of the machine. */
export function resourceOf(
  context: DestinationContext,
  journal: IncomingJournal,
  migration: IncomingMigration,
  error: VmferryError | null,
): Changing {
  const { record, held } = migration;
  return {
    state: stateOf(journal, migration),
    guest: guestOf(journal, record.decision),
    source: sourceOf(record),
    destination: {
      agent: context.publicUrl(),
      hostName: context.host.hostName,
      state: isOffline(journal.flags) ? record.decision : `${record.decision}, QEMU ${migration.state.qemu}`,
    },
    outcome: migration.answer,
    held: held === null ? null : { reason: held.reason, since: held.since.toISOString(), hint: hints[held.reason] },
    error: error === null || record.decision === 'committed' ? null : { ...toProblem(error) },
    finishedAt: journal.finishedAt,
  };
}

const hints: Readonly<Record<HeldReason, string>> = {
  'source-silent':
    'The source agent does not answer. Start it again; or, when its host is proven to be off, resolve the migration with that proof.',
  'source-crashed-unpermitted':
    'The guest died on the source before it was permitted to run on the destination. If no other copy runs, resolve with keep: destination.',
  'qemu-silent': 'QEMU on the destination does not answer its monitor. See its process; it is asked again.',
  'lease-refused': 'Another owner holds the lease, or it has moved on. The source is asked what it has; it is tried again.',
  'lease-unavailable': 'The lease cannot be taken or given back. See why the lock store does not answer; it is tried again.',
  'cont-refused': 'QEMU refuses to run the guest on the destination, most often for the image lock of a disk. It is tried again.',
  'no-proof': 'QEMU was told to run the guest and does not say that it did. It is asked again.',
  'journal-unwritable': 'The state folder of this host cannot be written: make room; it is tried again.',
};

/** In v2 the source is not known before it binds the record. */
function sourceOf(record: OutcomeRecord): MigrationResource['source'] {
  const { url, hostName } = record.source;
  return isBound(record) ? { agent: url, hostName, state: 'unknown' } : { agent: null, hostName: null, state: 'unknown' };
}

function stateOf(journal: IncomingJournal, migration: IncomingMigration | null): MigrationResource['state'] {
  const { decision } = migration?.record ?? journal.record;
  switch (decision) {
    case 'open':
    case 'committing':
      return migration?.state.activity.t === 'held' ? 'NEEDS_ATTENTION' : 'RUNNING';
    case 'committed':
      return 'SUCCEEDED';
    case 'aborted':
      return 'FAILED';
    case 'unknown':
      return 'NEEDS_ATTENTION';
  }
}

function guestOf(journal: IncomingJournal, decision: IncomingJournal['record']['decision']): MigrationResource['guest'] {
  if (isOffline(journal.flags)) return { runningOn: 'none', detail: definitionOf(decision) };
  switch (decision) {
    case 'open':
      return { runningOn: 'source', detail: 'The destination has not been asked to run it.' };
    case 'committing':
      return { runningOn: 'unknown', detail: 'The destination is about to run it; the proof is not there yet.' };
    case 'committed':
      return { runningOn: 'destination', detail: 'The record says committed.' };
    case 'aborted':
      return { runningOn: 'source', detail: 'The record says aborted: it never ran on the destination.' };
    case 'unknown':
      return { runningOn: 'unknown', detail: 'QEMU ended on the destination before it was proven to run the guest.' };
  }
}

/** Offline nobody runs: what there is to tell is where the definition is. */
function definitionOf(decision: IncomingJournal['record']['decision']): string {
  switch (decision) {
    case 'open':
      return 'Offline: its definition is on the source. The destination has not been asked to keep it.';
    case 'committing':
      return 'Offline: the destination is about to keep its definition.';
    case 'committed':
      return 'Offline: its definition is on the destination.';
    case 'aborted':
      return 'Offline: the record says aborted; its definition is on the source.';
    case 'unknown':
      return 'Offline: where its definition is kept is not known.';
  }
}
