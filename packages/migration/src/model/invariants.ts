import { isFinal, type OutcomeRecord } from '../record.js';
import { hasEnded, type SourceStage } from '../source-machine.js';
import type { By, Config, World } from './world.js';

/** I1 to I11 of the rule; `paused`: a guest that its user had paused runs; `destroyed`: one that its user destroyed runs elsewhere. */
export type Invariant = 'I1' | 'I2' | 'I3' | 'I9' | 'I10' | 'I11' | 'paused' | 'destroyed';

/** The first invariant that the move from `before` to `after` breaks; null when none. */
export function brokenBy(before: World, after: World, by: By, config: Config): Invariant | null {
  const destinationRuns = after.destinationQemu === 'running';
  const sourceRuns = after.sourceQemu.startsWith('run');
  // A guest that ran on one side after the image was taken must not run on the other, at once or later.
  if (sourceRuns && after.destinationRan) return 'I1';
  if (destinationRuns && after.stale) return 'I1';
  // A guest whose memory is not all there.
  if (destinationRuns && (before.destinationQemu === 'incoming' || before.destinationQemu === 'draining') && by === 'destination')
    return 'I10';
  if (by !== 'environment' && copies(before) && !copies(after) && !after.userDestroyed) return 'I2';
  const hasState = config.lease === 'transfer' || config.lease === 'release';
  if (hasState && destinationRuns && after.lease !== 'd') return 'I3';
  if (config.lease === 'host' && destinationRuns && after.lease !== 'h1') return 'I3';
  if (hasState && sourceRuns && after.lease !== 's0' && after.lease !== 's1') return 'I3';
  if (wentBack(before, after)) return 'I9';
  if (config.guest === 'paused' && (sourceRuns || destinationRuns)) return 'paused';
  if (after.userDestroyed && destinationRuns) return 'destroyed';
  return null;
}

/** Whether some copy of the guest can still be brought to run. */
function copies(w: World): boolean {
  return sourceCopy(w) || destinationCopy(w);
}

/** The source's counts until it is proven that the destination has the guest. */
function sourceCopy(w: World): boolean {
  return w.sourceQemu !== 'gone' && !w.destinationRan && !w.handedOver;
}

/**
 * The destination's counts when it is complete, until `aborted` is written, or until it is sentenced, or until the source has journalled that the guest
 * goes on there: those are the decisions, the kill only follows. What the environment does afterwards is not ours.
 */
function destinationCopy(w: World): boolean {
  const complete = w.destinationQemu === 'loaded' || w.destinationQemu === 'running';
  const journal = w.source?.journal ?? w.journal;
  if (!complete || w.stale || journal.ranOn || journal.stage === 'stayed') return false;
  return w.record?.decision !== 'aborted' && w.destination?.activity.t !== 'killing';
}

const order: Readonly<Record<SourceStage, number>> = {
  begun: 0,
  performing: 1,
  permitted: 2,
  resuming: 3,
  leaving: 3,
  left: 4,
  stayed: 4,
  lost: 4,
};

/** I9: a phase never goes back, a final record never changes, and an answer that was given stays the answer. */
function wentBack(before: World, after: World): boolean {
  if (order[after.journal.stage] < order[before.journal.stage]) return true;
  if (after.storeReplaced) return false;
  if (before.record !== null && isFinal(before.record) && after.record?.decision !== before.record.decision) return true;
  return after.said !== 'none' && after.record !== null && after.record.decision !== after.said;
}

/** I11: a terminal state, or one that the rule leaves to a human. Both agents are up and have nothing left to do. */
export function isSettledWorld(w: World, config: Config): boolean {
  if (w.source === null || !w.destinationUp) return false;
  if (w.sourceTodo.length > 0 || w.destinationTodo.length > 0 || w.sourceAgain !== null) return false;
  if (w.storeReplaced) return hasEnded(w.journal) || w.journal.stage === 'permitted' || w.sourceQemu === 'gone';
  return isTerminal(w, config) || isHeldForAHuman(w);
}

function isTerminal(w: World, config: Config): boolean {
  if (!hasEnded(w.journal) || (w.record !== null && !isFinal(w.record))) return false;
  const noDestination = w.destinationQemu === 'gone' || w.destinationQemu === 'none';
  switch (w.journal.stage) {
    case 'left':
      return (
        w.record?.decision === 'committed' &&
        w.sourceQemu === 'gone' &&
        (w.destinationQemu !== 'loaded') === (config.guest === 'running' || noDestination)
      );
    case 'stayed':
      return noDestination && (w.sourceQemu === 'gone' || w.sourceQemu.startsWith('run') === (config.guest === 'running'));
    case 'lost':
      return w.sourceQemu === 'gone' && noDestination;
    case 'begun':
    case 'performing':
    case 'permitted':
    case 'leaving':
    case 'resuming':
      return false;
  }
}

function isHeldForAHuman(w: World): boolean {
  if (w.record === null || w.source === null) return false;
  if (isLostAfterCont(w.record)) return w.journal.stage === 'permitted';
  const held = w.destination?.activity.t === 'held' && w.destination.activity.reason === 'source-crashed-unpermitted';
  // That QEMU went on by itself just before it died is known to nobody: then a stale image is held, and a human has to know of it.
  const unpermitted = w.journal.stage === 'performing' || (w.journal.stage === 'lost' && !w.stale);
  return held && w.destinationQemu === 'loaded' && w.sourceQemu === 'gone' && unpermitted && !w.userDestroyed && !w.journal.ranOn;
}

function isLostAfterCont(record: OutcomeRecord): boolean {
  return record.decision === 'unknown';
}
