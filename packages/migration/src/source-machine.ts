import type { MigrationKey, Permit } from './key.js';
import type { Answer } from './record.js';

/*
 * The source's side of the handover rule, as a machine without I/O. Before the permit the source decides alone; after it, the
 * destination's record does (rule 1). The shell writes the journal when it changed, then carries out the effects in their order.
 */

/**
 * How far the source is, durably. The names of libvirt's job phases are in `phaseOf`.
 * `leaving`: the record said committed, QEMU is being ended. `resuming`: the guest goes on here, lease first.
 * `left`, `stayed` and `lost` are the ends: the guest runs on the destination, here, or its QEMU here is gone with nothing to hand over.
 */
export type SourceStage = 'begun' | 'performing' | 'permitted' | 'leaving' | 'resuming' | 'left' | 'stayed' | 'lost';

export interface SourceJournal {
  readonly version: 1;
  readonly key: MigrationKey;
  readonly stage: SourceStage;
  readonly permit: Permit;
  /** Where the record is kept, from Prepare's cookie; an answer from another store is no answer. */
  readonly destination: { readonly url: string; readonly storeId: string } | null;
  /** Whether rollback runs the guest: false when its user had paused it (handover rule, "Around it"). */
  readonly resumeOnRollback: boolean;
  /** A user's destroy is journalled before the kill. */
  readonly destroyIntended: boolean;
  /** The guest was let go on here after a stream was begun: an image elsewhere is stale. A paused guest's image stays good until `stayed`. */
  readonly ranOn: boolean;
  /** The lease as the aborted record gave it back; null until then. */
  readonly returnedLease: string | null;
}

export interface SourceState {
  readonly journal: SourceJournal;
  /** `completed` is only what this life saw; `gone` is proven. */
  readonly qemu: 'alive' | 'gone';
  /** Somebody wants the guest to stay: a user's cancel, a lost session, a failed step. */
  readonly cancelWanted: boolean;
  /** What the record was last heard to say. */
  readonly answer: Answer | 'silent' | null;
}

export type SourceEvent =
  | { readonly t: 'perform'; readonly destination: { readonly url: string; readonly storeId: string } }
  | { readonly t: 'qemu-completed' }
  /** QEMU's terminal status other than completed, or Perform failed before QEMU was asked to migrate. */
  | { readonly t: 'perform-failed' }
  | { readonly t: 'qemu-gone' }
  /** A user's cancel, a lost session, or Confirm before the permit. */
  | { readonly t: 'cancel' }
  /** Confirm, whatever its flag says (rule 6). */
  | { readonly t: 'confirm' }
  | { readonly t: 'destroy' }
  | { readonly t: 'answer'; readonly answer: Answer | 'silent'; readonly lease: string | null }
  /** The record as whoever only watches it has read it (protocol v2): what is not final changes nothing, and is told. */
  | { readonly t: 'read'; readonly answer: Answer | 'silent'; readonly lease: string | null }
  | { readonly t: 'retry' }
  | { readonly t: 'resumed' }
  /** The lease could not be had, or QEMU refused `cont`. */
  | { readonly t: 'resume-failed' }
  | { readonly t: 'cleaned' };

export type SourceEffect =
  /** `migrate_cancel`, the data channel closed first; QEMU's terminal status answers. */
  | { readonly t: 'cancel-qemu' }
  | { readonly t: 'ask'; readonly abortUnlessCommitted: boolean }
  /** The own QEMU is gone and the permit was journalled: the destination is the only copy (rule 4). */
  | { readonly t: 'drive-finish' }
  /** End the own QEMU, then undefine, give up the lease, audit; answer `cleaned`. Also when QEMU is gone already. */
  | { readonly t: 'leave' }
  /** Take the lease back, then `cont` when the journal says so; answer `resumed` or `resume-failed`. */
  | { readonly t: 'resume' }
  /** The user's destroy: kill, audit; QEMU's exit answers. */
  | { readonly t: 'destroy-qemu' }
  | { readonly t: 'acknowledge' }
  | { readonly t: 'retry-later' };

export interface SourceStep {
  readonly state: SourceState;
  readonly effects: readonly SourceEffect[];
}

export function begun(
  journal: Omit<SourceJournal, 'version' | 'stage' | 'destination' | 'destroyIntended' | 'ranOn' | 'returnedLease'>,
): SourceState {
  return {
    journal: {
      ...journal,
      version: 1,
      stage: 'begun',
      destination: null,
      destroyIntended: false,
      ranOn: false,
      returnedLease: null,
    },
    qemu: 'alive',
    cancelWanted: false,
    answer: null,
  };
}

/** The state after a restart of the agent (Restart of an agent): what the journal says, and whether QEMU lives in this boot. */
export function restartedSource(journal: SourceJournal, qemu: 'alive' | 'gone'): SourceStep {
  const state: SourceState = { journal, qemu, cancelWanted: true, answer: null };
  switch (journal.stage) {
    case 'begun':
      if (journal.destroyIntended && qemu === 'alive') return stay(state, { t: 'destroy-qemu' });
      return become(state, qemu === 'gone' ? 'lost' : 'stayed');
    case 'performing':
      // What was journalled for the user is carried out; a `completed` since then is no permit (rule 4).
      if (journal.destroyIntended && qemu === 'alive') return stay(state, { t: 'destroy-qemu' });
      return qemu === 'gone' ? askAbort(state) : stay(state, { t: 'cancel-qemu' });
    case 'permitted':
      return qemu === 'gone' ? stay(state, { t: 'drive-finish' }) : askAbort(state);
    case 'leaving':
      return stay(state, { t: 'leave' });
    case 'resuming':
      return qemu === 'gone' ? become(state, 'lost', { t: 'acknowledge' }) : stay(state, { t: 'resume' });
    case 'left':
    case 'stayed':
    case 'lost':
      return stay(state);
    default:
      return journal.stage satisfies never;
  }
}

export function hasEnded(journal: SourceJournal): boolean {
  return journal.stage === 'left' || journal.stage === 'stayed' || journal.stage === 'lost';
}

/** libvirt's phase names (A4), in an order that never goes back (I9). */
export function phaseOf(
  stage: SourceStage,
): 'begin3' | 'perform3' | 'perform3_done' | 'confirm3_cancelled' | 'confirm3' | 'none' {
  switch (stage) {
    case 'begun':
      return 'begin3';
    case 'performing':
      return 'perform3';
    case 'permitted':
      return 'perform3_done';
    case 'resuming':
      return 'confirm3_cancelled';
    case 'leaving':
      return 'confirm3';
    case 'left':
    case 'stayed':
    case 'lost':
      return 'none';
  }
}

export function stepSource(state: SourceState, event: SourceEvent): SourceStep {
  switch (event.t) {
    case 'perform':
      if (state.journal.stage !== 'begun') return stay(state);
      return become({ ...state, journal: { ...state.journal, destination: event.destination } }, 'performing');
    case 'qemu-completed':
      return completed(state);
    case 'perform-failed':
      return performFailed(state);
    case 'qemu-gone':
      return qemuGone({ ...state, qemu: 'gone' });
    case 'cancel':
      return cancel({ ...state, cancelWanted: true });
    case 'confirm':
      return state.journal.stage === 'permitted' ? decideBy(state) : cancel({ ...state, cancelWanted: true });
    case 'destroy':
      return destroy(state);
    case 'answer':
      return answered({ ...state, answer: event.answer }, event.answer, event.lease);
    case 'read':
      return read({ ...state, answer: event.answer }, event.answer, event.lease);
    case 'retry':
      return retry(state);
    case 'resumed':
      return state.journal.stage === 'resuming' ? become(state, 'stayed', { t: 'acknowledge' }) : stay(state);
    case 'resume-failed':
      return state.journal.stage === 'resuming' ? stay(state, { t: 'retry-later' }) : stay(state);
    case 'cleaned':
      return state.journal.stage === 'leaving' ? become(state, 'left', { t: 'acknowledge' }) : stay(state);
    default:
      return event satisfies never;
  }
}

function stay(state: SourceState, ...effects: SourceEffect[]): SourceStep {
  return { state, effects };
}

function become(state: SourceState, stage: SourceStage, ...effects: SourceEffect[]): SourceStep {
  return { state: { ...state, journal: { ...state.journal, stage } }, effects };
}

function askAbort(state: SourceState): SourceStep {
  return stay(state, { t: 'ask', abortUnlessCommitted: true });
}

/** The permit is written even when QEMU is gone since, unless a user's destroy is journalled (rule 4). */
function completed(state: SourceState): SourceStep {
  if (state.journal.stage !== 'performing' || state.journal.destroyIntended) return stay(state);
  if (state.qemu === 'gone') return become(state, 'permitted', { t: 'drive-finish' });
  return state.cancelWanted ? become(state, 'permitted', { t: 'ask', abortUnlessCommitted: true }) : become(state, 'permitted');
}

/** Without a permit nobody else may run the guest, so it goes on here without asking anybody. */
function performFailed(state: SourceState): SourceStep {
  const { stage } = state.journal;
  if (stage !== 'performing' && stage !== 'begun') return stay(state);
  if (state.qemu === 'gone') return qemuGone(state);
  if (stage === 'begun') return become(state, 'stayed', { t: 'acknowledge' });
  return become({ ...state, journal: { ...state.journal, ranOn: state.journal.resumeOnRollback } }, 'resuming', { t: 'resume' });
}

function qemuGone(state: SourceState): SourceStep {
  switch (state.journal.stage) {
    case 'begun':
      return become(state, 'lost', { t: 'acknowledge' });
    case 'performing':
      return askAbort(state);
    case 'permitted':
      return stay(state, { t: 'drive-finish' });
    case 'resuming':
      return become(state, 'lost', { t: 'acknowledge' });
    case 'leaving':
    case 'left':
    case 'stayed':
    case 'lost':
      return stay(state);
    default:
      return state.journal.stage satisfies never;
  }
}

function cancel(state: SourceState): SourceStep {
  switch (state.journal.stage) {
    case 'begun':
      return become(state, 'stayed', { t: 'acknowledge' });
    case 'performing':
      return state.qemu === 'gone' ? askAbort(state) : stay(state, { t: 'cancel-qemu' });
    case 'permitted':
      return decideBy(state);
    case 'leaving':
    case 'resuming':
    case 'left':
    case 'stayed':
    case 'lost':
      return stay(state);
    default:
      return state.journal.stage satisfies never;
  }
}

/** After the permit: the record, with a hint to begin the hold rule; or Finish, when the only copy is over there. */
function decideBy(state: SourceState): SourceStep {
  return state.qemu === 'gone' ? stay(state, { t: 'drive-finish' }) : askAbort(state);
}

function destroy(state: SourceState): SourceStep {
  switch (state.journal.stage) {
    case 'begun':
    case 'performing':
      return { state: { ...state, journal: { ...state.journal, destroyIntended: true } }, effects: [{ t: 'destroy-qemu' }] };
    case 'permitted':
      return askAbort(state);
    case 'leaving':
    case 'resuming':
    case 'left':
    case 'stayed':
    case 'lost':
      return stay(state);
    default:
      return state.journal.stage satisfies never;
  }
}

function answered(state: SourceState, answer: Answer | 'silent', lease: string | null): SourceStep {
  const { stage } = state.journal;
  if (stage === 'performing' && state.qemu === 'gone') return answeredWithoutPermit(state, answer);
  if (stage !== 'permitted') return stay(state);
  switch (answer) {
    case 'committed':
      return become(state, 'leaving', { t: 'leave' });
    case 'aborted':
      if (state.qemu === 'gone') return become(state, 'lost', { t: 'acknowledge' });
      return become(
        { ...state, journal: { ...state.journal, returnedLease: lease, ranOn: state.journal.resumeOnRollback } },
        'resuming',
        { t: 'resume' },
      );
    case 'open':
    case 'pending':
    case 'unknown':
    case 'silent':
      return stay(state, { t: 'retry-later' });
    default:
      return answer satisfies never;
  }
}

/** Whoever watches the record reads it again by himself; nobody asks it to abort on his word. */
function read(state: SourceState, answer: Answer | 'silent', lease: string | null): SourceStep {
  return isUndecided(answer) ? stay(state) : answered(state, answer, lease);
}

/** Whether the record has yet to say something final, as far as it was heard. */
export function isUndecided(answer: Answer | 'silent'): answer is 'open' | 'pending' | 'silent' {
  return answer === 'open' || answer === 'pending' || answer === 'silent';
}

/**
 * The guest's QEMU died before the permit: a loaded destination stays held; anything final ends the migration here. One that was resolved to
 * keep the destination has committed like any other, and what the guest held here is given back on the same way.
 */
function answeredWithoutPermit(state: SourceState, answer: Answer | 'silent'): SourceStep {
  switch (answer) {
    case 'committed':
      return become(state, 'leaving', { t: 'leave' });
    case 'aborted':
    case 'unknown':
      return become(state, 'lost', { t: 'acknowledge' });
    case 'open':
    case 'pending':
    case 'silent':
      return stay(state, { t: 'retry-later' });
    default:
      return answer satisfies never;
  }
}

function retry(state: SourceState): SourceStep {
  switch (state.journal.stage) {
    case 'permitted':
      return decideBy(state);
    case 'performing':
      return state.qemu === 'gone' ? askAbort(state) : stay(state);
    case 'resuming':
      return stay(state, { t: 'resume' });
    case 'leaving':
      return stay(state, { t: 'leave' });
    case 'begun':
    case 'left':
    case 'stayed':
    case 'lost':
      return stay(state);
    default:
      return state.journal.stage satisfies never;
  }
}

/**
 * The source's word to the hold rule. `qemu` must be looked at for this very answer: the destination may kill its copy on it.
 * `holds` is true for a live QEMU until the record has been read as committed.
 */
export function wordOf(
  journal: SourceJournal,
  qemu: 'alive' | 'gone',
): { guest: 'holds' | 'gone'; permit: Permit | null; destroyed: boolean; ranOn: boolean } {
  const decided = journal.stage === 'leaving' || journal.stage === 'left';
  const guest = qemu === 'alive' && !decided ? 'holds' : 'gone';
  const permit = guest === 'gone' && (journal.stage === 'permitted' || decided) ? journal.permit : null;
  // Once the migration has ended here, with QEMU alive, its user may run the guest at any time.
  return { guest, permit, destroyed: journal.destroyIntended, ranOn: journal.ranOn || journal.stage === 'stayed' };
}
