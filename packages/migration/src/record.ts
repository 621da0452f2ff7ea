import { VmferryError } from '@vmferry/errors';
import type { MigrationKey } from './key.js';

/**
 * The decision of a migration, made once and kept by the destination (handover rule 2):
 * `open` to `committing` to `committed`, or `open` to `aborted`; `unknown` when nobody can tell any more whether the guest ran.
 */
export type Decision = 'open' | 'committing' | 'committed' | 'aborted' | 'unknown';

/** Where the source can be asked; an answer from another store is no answer. */
export interface SourcePeer {
  readonly url: string;
  readonly storeId: string;
  readonly hostName: string;
  readonly hostUuid: string;
}

/** The outcome record: the one durable truth about who may run the guest. */
export interface OutcomeRecord {
  readonly version: 1;
  readonly key: MigrationKey;
  readonly decision: Decision;
  /** Whether the guest is to run after Finish, or to stay paused as it was. */
  readonly mode: 'run' | 'paused';
  readonly permitDigest: string;
  readonly source: SourcePeer;
  /** The lease as the source offered it and, once `aborted`, as it was given back; null for a driver without state. */
  readonly lease: string | null;
  /** Why it was aborted or is unknown. */
  readonly reason: string | null;
}

/** Who the source is and what its permit's digest is, from Begin's cookie: in v3 Prepare brings it, in v2 the source agent before `migrate`. */
export interface Binding extends Pick<OutcomeRecord, 'permitDigest' | 'source' | 'lease'> {
  /** A guest that is paused when it is bound stays paused, whatever Prepare said. */
  readonly mode: OutcomeRecord['mode'];
}

/** What an open record of protocol v2 says until it is bound: nobody is the source, and the empty digest is that of no permit. */
export const unbound: Omit<Binding, 'mode'> = {
  permitDigest: '',
  source: { url: '', storeId: '', hostName: '', hostUuid: '' },
  lease: null,
};

export function isBound(record: OutcomeRecord): boolean {
  return record.permitDigest !== '';
}

/** Whether the record was bound by this very word: the same one again is no other source. */
export function isBoundBy(record: OutcomeRecord, { permitDigest, source, lease }: Binding): boolean {
  const { url, storeId, hostName, hostUuid } = record.source;
  const sameSource =
    url === source.url && storeId === source.storeId && hostName === source.hostName && hostUuid === source.hostUuid;
  return isBound(record) && record.permitDigest === permitDigest && sameSource && record.lease === lease;
}

/** The record with its source. One that is bound or decided is never bound anew. */
export function bind(record: OutcomeRecord, binding: Binding): OutcomeRecord {
  if (record.decision !== 'open' || isBound(record)) {
    throw new VmferryError('internal', `The outcome record of ${record.key.id} is ${record.decision} and cannot be bound.`);
  }
  return { ...record, ...binding, mode: record.mode === 'paused' ? 'paused' : binding.mode };
}

/** What the source is told of a record. `pending`: committing, the proof is not there yet. */
export type Answer = 'open' | 'pending' | 'committed' | 'aborted' | 'unknown';

export function answerOf(record: OutcomeRecord): Answer {
  return record.decision === 'committing' ? 'pending' : record.decision;
}

const nextDecisions: Readonly<Record<Decision, readonly Decision[]>> = {
  open: ['committing', 'aborted'],
  committing: ['committed', 'aborted', 'unknown'],
  committed: [],
  aborted: [],
  unknown: [],
};

export function isFinal(record: OutcomeRecord): boolean {
  return nextDecisions[record.decision].length === 0;
}

/** The record with its next decision. A step that the rule does not know is a defect, never a warning. */
export function decide(
  record: OutcomeRecord,
  decision: Decision,
  facts: { reason?: string; lease?: string | null } = {},
): OutcomeRecord {
  if (!nextDecisions[record.decision].includes(decision)) {
    throw new VmferryError(
      'internal',
      `The outcome record of ${record.key.id} cannot go from ${record.decision} to ${decision}.`,
    );
  }
  return {
    ...record,
    decision,
    reason: facts.reason ?? record.reason,
    lease: facts.lease === undefined ? record.lease : facts.lease,
  };
}
