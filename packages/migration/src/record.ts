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
