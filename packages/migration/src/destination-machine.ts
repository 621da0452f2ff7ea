import { type Permit, permitMatches } from './key.js';
import { type Binding, bind, decide, isBound, isFinal, type OutcomeRecord } from './record.js';

/*
 * The destination's side of the handover rule (handover-and-faults, The rule), as a machine without I/O. `step` takes what
 * happened and says what to do, always in this order: write the record when it changed, then send, then apply. The shell runs one
 * event at a time, so that an activity is the mutex of the rule: while one is under way, every other writer waits for its end.
 */

/**
 * What this life of the agent knows of its QEMU. `silent`: it does not answer, so that its image may be complete. `resumed` is only
 * ever proven: RESUME seen, or a status reached only by running.
 */
export type IncomingQemu = 'incoming' | 'silent' | 'loaded' | 'resumed' | 'gone';

/** The source agent's word about its own QEMU, or the lack of one (rule 4 and 5). */
export type SourceWord =
  | { readonly t: 'holds' }
  | { readonly t: 'gone'; readonly permit: Permit | null; readonly destroyed: boolean; readonly ranOn: boolean }
  | { readonly t: 'silent' };

/** Why a loaded destination is kept paused. */
export type HeldReason =
  | 'source-silent'
  | 'source-crashed-unpermitted'
  | 'qemu-silent'
  | 'lease-unavailable'
  | 'lease-refused'
  | 'cont-refused'
  | 'no-proof'
  | 'journal-unwritable';

export type Activity =
  | { readonly t: 'idle' }
  | { readonly t: 'taking-lease' }
  | { readonly t: 'rechecking' }
  | { readonly t: 'cont-sent' }
  | { readonly t: 'proving' }
  | { readonly t: 'asking' }
  | { readonly t: 'returning-lease' }
  | { readonly t: 'asking-again'; readonly lease: string | null }
  | { readonly t: 'killing'; readonly lease: string | null; readonly reason: string }
  | { readonly t: 'held'; readonly reason: HeldReason };

export interface DestinationState {
  /** As it is on disk. */
  readonly record: OutcomeRecord;
  readonly qemu: IncomingQemu;
  readonly activity: Activity;
  /** Finish was asked with the right permit, by the coordinator, the source or an administrator. */
  readonly permitted: boolean;
  /** Somebody wants the migration to end without a commit; the first reason is kept. */
  readonly abortReason: string | null;
  /** An administrator proved that the other side does not run the guest and keeps that side's copy. */
  readonly overruled: boolean;
  /** This same life of the agent wrote `committing` (rule 2). */
  readonly wroteCommitting: boolean;
  /**
   * `none`: this life sent no `cont`. `refused`: every one was answered with an error. `sent`: the last one has no answer yet, or
   * was answered ok. `unanswered`: one never was, so that no later refusal proves that QEMU did not run.
   */
  readonly cont: 'none' | 'sent' | 'refused' | 'unanswered';
}

export type DestinationEvent =
  /** Protocol v2: the source agent says who it is, before it tells its QEMU to migrate. */
  | { readonly t: 'bind'; readonly binding: Binding }
  | { readonly t: 'qemu-loaded' }
  | { readonly t: 'qemu-silent' }
  | { readonly t: 'qemu-resumed' }
  /** Its exit is proven. */
  | { readonly t: 'qemu-gone' }
  | { readonly t: 'finish'; readonly permit: Permit }
  | { readonly t: 'abort-wanted'; readonly reason: string }
  | { readonly t: 'source-word'; readonly word: SourceWord }
  | { readonly t: 'lease-taken' }
  | { readonly t: 'lease-refused' }
  | { readonly t: 'lease-unavailable' }
  | { readonly t: 'lease-returned'; readonly lease: string | null }
  | { readonly t: 'rechecked'; readonly ok: boolean }
  | { readonly t: 'cont-refused' }
  | { readonly t: 'cont-unproven' }
  /** The record of the step before could not be written: that step did not happen (rule 7). */
  | { readonly t: 'journal-failed' }
  | { readonly t: 'retry' }
  | { readonly t: 'resolve'; readonly keep: 'source' | 'destination' };

export type DestinationEffect =
  | { readonly t: 'take-lease' }
  | { readonly t: 'return-lease' }
  /** Re-validate the record, the lease's epoch, the pid with its start time, and the agent's own lock; answer `rechecked`. */
  | { readonly t: 'recheck' }
  | { readonly t: 'cont' }
  /** Look at QEMU's status again; answer `qemu-resumed`, `qemu-gone` or `cont-unproven`. */
  | { readonly t: 'prove' }
  | { readonly t: 'ask-source' }
  /** SIGKILL and wait for the proven exit; answer `qemu-gone`. */
  | { readonly t: 'kill' }
  | { readonly t: 'retry-later' };

export interface DestinationStep {
  readonly state: DestinationState;
  readonly effects: readonly DestinationEffect[];
}

/** A migration whose record was just written `open`; its QEMU is being started. */
export function prepared(record: OutcomeRecord): DestinationState {
  return {
    record,
    qemu: 'incoming',
    activity: idle,
    permitted: false,
    abortReason: null,
    overruled: false,
    wroteCommitting: false,
    cont: 'none',
  };
}

/** The state after a restart of the agent, from the record on disk and a look at QEMU (Restart of an agent). */
export function restarted(record: OutcomeRecord, qemu: IncomingQemu): DestinationStep {
  const state = { ...prepared(record), qemu, abortReason: record.decision === 'open' ? 'the destination agent restarted' : null };
  // The agent ended between writing `aborted` and the kill that follows it.
  if (record.decision === 'aborted' && qemu !== 'gone') return { state, effects: [{ t: 'kill' }] };
  return proceed(state);
}

/** A record that is already durable stays as it is; nothing more is decided. */
export function isSettled(state: DestinationState): boolean {
  return isFinal(state.record) && state.activity.t === 'idle';
}

const idle: Activity = { t: 'idle' };

export function stepDestination(state: DestinationState, event: DestinationEvent): DestinationStep {
  switch (event.t) {
    case 'bind':
      return bound(state, event.binding);
    case 'qemu-loaded':
      return state.qemu === 'incoming' || state.qemu === 'silent' ? whenFree({ ...state, qemu: 'loaded' }) : stay(state);
    case 'qemu-silent':
      return state.qemu === 'incoming' ? stay({ ...state, qemu: 'silent' }) : stay(state);
    case 'qemu-resumed':
      return resumed(state);
    case 'qemu-gone':
      return gone({ ...state, qemu: 'gone' });
    case 'finish':
      return permitMatches(event.permit, state.record.permitDigest) ? whenFree({ ...state, permitted: true }) : stay(state);
    case 'abort-wanted':
      return whenFree({ ...state, abortReason: state.abortReason ?? event.reason });
    case 'source-word':
      return heard(state, event.word);
    case 'lease-taken':
    case 'lease-refused':
    case 'lease-unavailable':
    case 'lease-returned':
      return leaseAnswered(state, event);
    case 'rechecked':
      return rechecked(state, event.ok);
    case 'cont-refused':
      return contRefused(state);
    case 'cont-unproven':
      return contUnproven(state);
    case 'journal-failed':
      return journalFailed(state);
    case 'retry':
      return state.activity.t === 'held' ? retry(state, state.activity.reason) : stay(state);
    case 'resolve':
      return resolve(state, event.keep);
    default:
      return event satisfies never;
  }
}

/**
 * The step did not happen, and what it was for must not be lost with it: of an open record either `committing` failed, and the
 * permit is still known, or `aborted` did, and the wish to abort may have come with that very step.
 */
function journalFailed(state: DestinationState): DestinationStep {
  const { activity, record } = state;
  const abortReason = state.abortReason ?? (record.decision === 'open' ? 'the record could not be written' : null);
  return hold(
    { ...state, abortReason },
    activity.t === 'cont-sent' || activity.t === 'proving' ? 'no-proof' : 'journal-unwritable',
  );
}

function stay(state: DestinationState): DestinationStep {
  return { state, effects: [] };
}

function busy(state: DestinationState, activity: Activity, ...effects: DestinationEffect[]): DestinationStep {
  return { state: { ...state, activity }, effects };
}

function hold(state: DestinationState, reason: HeldReason): DestinationStep {
  return busy(state, { t: 'held', reason }, { t: 'retry-later' });
}

/** At rest, and before anything came over the stream: an image that loaded unbound is of nobody knows which guest. */
function bound(state: DestinationState, binding: Binding): DestinationStep {
  const { record, qemu, activity, abortReason } = state;
  const untouched = qemu === 'incoming' && activity.t === 'idle' && abortReason === null;
  if (!untouched || record.decision !== 'open' || isBound(record)) return stay(state);
  return stay({ ...state, record: bind(record, binding) });
}

/** A new wish is looked at when no activity is under way; a held one is woken by it. */
function whenFree(state: DestinationState): DestinationStep {
  if (state.activity.t !== 'idle' && state.activity.t !== 'held') return stay(state);
  if (state.activity.t === 'held' && state.activity.reason === 'no-proof') return stay(state);
  return proceed({ ...state, activity: idle });
}

/** The next move from rest. Finish goes before abort: with the right permit the source waits for the record alone. */
function proceed(state: DestinationState): DestinationStep {
  const { record, qemu } = state;
  if (isFinal(record)) return stay(state);
  if (record.decision === 'committing') return proceedCommitting(state);
  if (qemu === 'gone') return busy(state, { t: 'returning-lease' }, { t: 'return-lease' });
  if (state.overruled) return busy(state, { t: 'returning-lease' }, { t: 'return-lease' });
  if (state.permitted && qemu === 'loaded') return busy(state, { t: 'taking-lease' }, { t: 'take-lease' });
  if (state.abortReason === null) return stay(state);
  // The permit says that the image has loaded: that this was not heard yet is no evidence for an abort.
  if (qemu === 'incoming' && state.permitted) return hold(state, 'qemu-silent');
  // The shell has just looked: an image that is not loaded is no copy, and no lease was taken for it.
  if (qemu === 'incoming') return abort(state, record.lease, state.abortReason);
  return busy(state, { t: 'asking' }, { t: 'ask-source' });
}

function proceedCommitting(state: DestinationState): DestinationStep {
  switch (state.qemu) {
    case 'resumed':
      return commit(state);
    case 'gone':
      return goneWhileCommitting(state);
    case 'incoming':
    case 'silent':
    case 'loaded':
      if (state.overruled) return busy(state, { t: 'returning-lease' }, { t: 'return-lease' });
      return busy(state, { t: 'taking-lease' }, { t: 'take-lease' });
  }
}

function commit(state: DestinationState): DestinationStep {
  return busy({ ...state, record: decide(state.record, 'committed') }, idle);
}

/** `aborted` is written, and only then QEMU is killed. */
function abort(state: DestinationState, lease: string | null, reason: string): DestinationStep {
  const record = decide(state.record, 'aborted', { lease, reason });
  return busy({ ...state, record }, idle, ...(state.qemu === 'gone' ? [] : [{ t: 'kill' } as const]));
}

function resumed(state: DestinationState): DestinationStep {
  if (state.record.decision !== 'committing') return stay(state);
  // It is being killed after a refused `cont`: that it ran all the same ends in `unknown`, never in a commit of what is dead.
  if (state.activity.t === 'killing') return stay({ ...state, cont: 'unanswered' });
  return commit({ ...state, qemu: 'resumed' });
}

function gone(state: DestinationState): DestinationStep {
  if (isFinal(state.record)) return stay(state);
  switch (state.activity.t) {
    case 'idle':
    case 'held':
      return proceed({ ...state, activity: idle });
    case 'cont-sent':
    case 'proving':
      return goneWhileCommitting(state);
    case 'killing':
      if (state.cont === 'unanswered' && !state.overruled) return goneWhileCommitting(state);
      return abort(state, state.activity.lease, state.activity.reason);
    case 'taking-lease':
    case 'rechecking':
    case 'asking':
    case 'returning-lease':
    case 'asking-again':
      return stay(state); // The answer under way decides with `qemu: gone` in sight.
  }
}

/** Rule 2: `unknown`, unless it is certain that no `cont` can have run. */
function goneWhileCommitting(state: DestinationState): DestinationStep {
  const neverRan = state.record.mode === 'paused' || (state.wroteCommitting && state.cont === 'none');
  if (neverRan) return busy(state, { t: 'returning-lease' }, { t: 'return-lease' });
  const record = decide(state.record, 'unknown', { reason: 'QEMU ended after cont was sent and before it was proven to run' });
  return busy({ ...state, record }, idle);
}

function heard(state: DestinationState, word: SourceWord): DestinationStep {
  const { activity } = state;
  if (activity.t !== 'asking' && activity.t !== 'asking-again') return stay(state);
  if (state.qemu === 'gone') return proceed({ ...state, activity: idle });
  if (mayAbortOn(state, word)) {
    if (activity.t === 'asking') return busy(state, { t: 'returning-lease' }, { t: 'return-lease' });
    return abortAfterEvidence(state, activity.lease, abortReasonOf(state, word));
  }
  if (state.record.decision === 'committing') return hold(state, 'cont-refused');
  switch (word.t) {
    case 'gone':
      if (word.permit !== null && permitMatches(word.permit, state.record.permitDigest)) return finishWhenLoaded(state);
      return state.permitted ? finishWhenLoaded(state) : hold(state, 'source-crashed-unpermitted');
    case 'holds':
    case 'silent':
      // Finish may have come with the permit while the question was under way.
      return state.permitted ? finishWhenLoaded(state) : hold(state, 'source-silent');
  }
}

/** A QEMU that does not say that it has loaded is looked at in the pace of the retries. */
function finishWhenLoaded(state: DestinationState): DestinationStep {
  const permitted = { ...state, permitted: true, activity: idle };
  return state.qemu === 'loaded' ? proceed(permitted) : hold(permitted, 'qemu-silent');
}

/** I2: the source holds the guest itself; or, while `open`, its user destroyed it or it ran on there and this image is stale. */
function mayAbortOn(state: DestinationState, word: SourceWord): boolean {
  if (word.t === 'holds') return true;
  if (word.t === 'silent' || state.record.decision === 'committing') return false;
  return word.permit === null && (word.destroyed || word.ranOn);
}

function abortReasonOf(state: DestinationState, word: SourceWord): string {
  if (word.t === 'gone' && word.destroyed) return 'the guest was destroyed on the source';
  return (
    state.abortReason ?? (state.record.decision === 'committing' ? 'QEMU refused to run the guest' : 'the lease was refused')
  );
}

/** From `committing`, QEMU's exit is proven before `aborted` is written (rule 2); from `open` the record alone forbids to run. */
function abortAfterEvidence(state: DestinationState, lease: string | null, reason: string): DestinationStep {
  if (state.record.decision === 'committing') return busy(state, { t: 'killing', lease, reason }, { t: 'kill' });
  return abort(state, lease, reason);
}

type LeaseEvent = Extract<DestinationEvent, { t: `lease-${string}` }>;

function leaseAnswered(state: DestinationState, event: LeaseEvent): DestinationStep {
  switch (event.t) {
    case 'lease-taken':
      return state.activity.t === 'taking-lease' ? leaseTaken(state) : stay(state);
    case 'lease-refused':
      return state.activity.t === 'taking-lease' ? leaseRefused(state) : stay(state);
    case 'lease-unavailable':
      if (state.activity.t !== 'taking-lease' && state.activity.t !== 'returning-lease') return stay(state);
      return hold(state, 'lease-unavailable');
    case 'lease-returned':
      return state.activity.t === 'returning-lease' ? leaseReturned(state, event.lease) : stay(state);
  }
}

function leaseTaken(state: DestinationState): DestinationStep {
  if (state.qemu === 'gone') return proceed({ ...state, activity: idle });
  if (state.record.decision === 'committing') return busy(state, { t: 'rechecking' }, { t: 'recheck' });
  const record = decide(state.record, 'committing');
  return busy({ ...state, record, wroteCommitting: true }, { t: 'rechecking' }, { t: 'recheck' });
}

/**
 * Finish is refused, the record stays open, and the hold rule goes on (locking 4.5): after a pause, because a source that is gone
 * hands out the permit again, and the same lease would be asked for at once.
 */
function leaseRefused(state: DestinationState): DestinationStep {
  if (state.record.decision === 'committing') return hold(state, 'lease-refused');
  return hold({ ...state, permitted: false, abortReason: state.abortReason ?? 'the lease was refused' }, 'lease-refused');
}

function leaseReturned(state: DestinationState, lease: string | null): DestinationStep {
  if (state.qemu === 'gone') return abort(state, lease, state.abortReason ?? 'QEMU ended on the destination');
  if (state.overruled) return abortAfterEvidence(state, lease, 'an administrator keeps the source');
  return busy(state, { t: 'asking-again', lease }, { t: 'ask-source' });
}

function rechecked(state: DestinationState, ok: boolean): DestinationStep {
  if (state.activity.t !== 'rechecking') return stay(state);
  if (state.qemu === 'gone') return goneWhileCommitting(state);
  if (!ok) return hold(state, 'lease-unavailable');
  if (state.record.mode === 'paused') return commit(state);
  return busy({ ...state, cont: state.cont === 'unanswered' ? 'unanswered' : 'sent' }, { t: 'cont-sent' }, { t: 'cont' });
}

/** QEMU answered `cont` with an error. Only a life that wrote `committing` itself and had every answer knows that no `cont` ran. */
function contRefused(state: DestinationState): DestinationStep {
  if (state.activity.t !== 'cont-sent' || state.qemu === 'resumed') return stay(state);
  if (!state.wroteCommitting || state.cont === 'unanswered') return hold(state, 'cont-refused');
  return busy({ ...state, cont: 'refused' }, { t: 'asking' }, { t: 'ask-source' });
}

/** A `cont` that left no trace is looked for again, and then sent again, as after a restart of the agent. */
function contUnproven(state: DestinationState): DestinationStep {
  if (state.activity.t === 'cont-sent') return hold({ ...state, cont: 'unanswered' }, 'no-proof');
  return state.activity.t === 'proving' ? proceedCommitting({ ...state, activity: idle }) : stay(state);
}

function retry(state: DestinationState, reason: HeldReason): DestinationStep {
  if (reason === 'no-proof') return busy(state, { t: 'proving' }, { t: 'prove' });
  return proceed({ ...state, activity: idle });
}

/** `resolve` overrides the source's silence, never a record that is final and never an activity under way. */
function resolve(state: DestinationState, keep: 'source' | 'destination'): DestinationStep {
  if (isFinal(state.record)) return stay(state);
  return whenFree(
    keep === 'destination' ? { ...state, permitted: true, overruled: false } : { ...state, overruled: true, permitted: false },
  );
}
