import {
  type DestinationEffect,
  type DestinationEvent,
  type DestinationState,
  type IncomingQemu,
  prepared,
  restarted,
  type SourceWord,
  stepDestination,
} from '../destination-machine.js';
import { type Answer, answerOf, decide, isBound, isFinal, type OutcomeRecord } from '../record.js';
import { wordOf } from '../source-machine.js';
import { intern, listOf, remembered } from './intern.js';
import { type Config, openRecord, permit, type Variant, type World } from './world.js';

/* The shell of the destination machine: persist, then act; one effect at a time, so that the agent can end between any two. */

const step = remembered((state: DestinationState, event: DestinationEvent) => canonicalStep(stepDestination(state, event)));
const restart = remembered((record: OutcomeRecord, look: { readonly qemu: IncomingQemu }) =>
  canonicalStep(restarted(record, look.qemu)),
);

/** Reasons are for people; without them worlds that differ in nothing else are one. */
function canonicalStep(made: ReturnType<typeof stepDestination>): ReturnType<typeof stepDestination> {
  const { activity, record } = made.state;
  const state = intern({
    ...made.state,
    record: intern({ ...record, reason: null }),
    activity: activity.t === 'killing' ? { ...activity, reason: '' } : activity,
    abortReason: made.state.abortReason === null ? null : 'wanted',
  });
  return { state, effects: made.effects };
}

export function crashDestination(w: World): World {
  return { ...w, destinationUp: false, destination: null, destinationTodo: listOf([]), destinationRetry: false };
}

function lookAt(w: World): IncomingQemu {
  switch (w.destinationQemu) {
    case 'none':
    case 'gone':
      return 'gone';
    case 'incoming':
    case 'draining':
      return 'incoming';
    case 'loaded':
      return 'loaded';
    case 'running':
      return 'resumed';
  }
}

/** The agent is started again: it reads the record and looks at QEMU. */
export function restartDestination(w: World, config: Config): World {
  const up = { ...w, destinationUp: true };
  if (w.record === null) return up;
  const made = restart(w.record, intern({ qemu: lookAt(w) }));
  if (config.off.has('kill-after-restart'))
    return applied(up, { state: made.state, effects: made.effects.filter((effect) => effect.t !== 'kill') }, config);
  return applied(up, made, config);
}

/** Prepare: the record first, then QEMU. */
export function prepareDestination(w: World, config: Config): World {
  if (w.record !== null || w.storeReplaced) return w;
  const record = openRecord(config);
  const fresh = { ...w, record, destination: intern(prepared(record)), destinationQemu: 'incoming' as const };
  // An agent that does not know the session takes it for lost.
  return w.destinationSession === 'over' ? { ...fresh, destinationSession: 'due' } : fresh;
}

/** One event at the destination's machine. */
export function destinationHears(w: World, event: DestinationEvent, config: Config): Variant[] {
  if (!w.destinationUp || w.destination === null) return [{ note: '', cost: 0, next: w }];
  const made = mutated(w.destination, event, config);
  const done = applied(w, made, config);
  if (made.state.record === w.destination.record) return [{ note: '', cost: 0, next: done }];
  const failed = config.off.has('fail-closed')
    ? { ...done, record: w.record }
    : applied(w, step(w.destination, intern({ t: 'journal-failed' })), config);
  return [
    { note: '', cost: 0, next: done },
    { note: ', its record cannot be written', cost: 1, next: failed },
  ];
}

function applied(w: World, made: ReturnType<typeof stepDestination>, config: Config): World {
  const { state } = made;
  const written = config.off.has('committing-first') && state.record.decision === 'committing' ? w.record : state.record;
  const todo = [...w.destinationTodo, ...made.effects.filter((effect) => effect.t !== 'retry-later')];
  const retry = w.destinationRetry || made.effects.some((effect) => effect.t === 'retry-later');
  const handedOver =
    w.handedOver || (state.record.decision === 'committed' && state.record.mode === 'paused' && w.destinationQemu === 'loaded');
  return {
    ...w,
    handedOver,
    destination: intern(state),
    record: written,
    destinationTodo: listOf(todo),
    destinationRetry: retry,
  };
}

/** The step of the real machine, unless the clause that is off stands against it. */
function mutated(state: DestinationState, event: DestinationEvent, config: Config): ReturnType<typeof stepDestination> {
  const { decision } = state.record;
  if (config.off.has('hold') && event.t === 'abort-wanted' && decision === 'open' && state.qemu === 'loaded') {
    return rewritten(state, 'aborted', [{ t: 'kill' }]);
  }
  if (config.off.has('loaded-before-cont') && event.t === 'finish' && state.qemu === 'incoming') {
    return step(intern({ ...state, qemu: 'loaded' as const }), intern(event));
  }
  const made = step(state, intern(event));
  if (config.off.has('unknown-after-cont') && made.state.record.decision === 'unknown') return rewritten(state, 'aborted', []);
  if (config.off.has('proof-first') && made.effects.some((effect) => effect.t === 'cont'))
    return rewritten(state, 'committed', made.effects);
  if (config.off.has('exit-first') && made.state.activity.t === 'killing') return rewritten(state, 'aborted', made.effects);
  return made;
}

function rewritten(
  state: DestinationState,
  decision: 'aborted' | 'committed',
  effects: readonly DestinationEffect[],
): ReturnType<typeof stepDestination> {
  const record = intern({ ...state.record, decision });
  return { state: intern({ ...state, record, activity: { t: 'idle' as const } }), effects };
}

/** A wish to abort or a retry: the shell tells the machine what QEMU is now before. */
export function destinationHearsAfterLook(w: World, event: DestinationEvent, config: Config): Variant[] {
  const fact = config.off.has('fresh-look') ? null : factAbout(w);
  if (fact === null) return destinationHears(w, event, config);
  return destinationHears(w, fact, config).flatMap((first) =>
    first.cost === 1 ? [first] : destinationHears(first.next, event, config),
  );
}

/** What QEMU is and the machine does not know yet. */
export function factAbout(w: World): DestinationEvent | null {
  if (w.destination === null) return null;
  const known = w.destination.qemu;
  const now = lookAt(w);
  if (known === now || known === 'gone' || isFinal(w.destination.record)) return null;
  switch (now) {
    case 'gone':
      return { t: 'qemu-gone' };
    case 'resumed':
      return w.destination.record.decision === 'committing' || known === 'incoming' ? { t: 'qemu-resumed' } : null;
    case 'loaded':
      return known === 'incoming' ? { t: 'qemu-loaded' } : null;
    case 'incoming':
    case 'silent':
      return null;
  }
}

export interface Answered {
  readonly variant: Variant;
  readonly answer: Answer | 'silent';
  readonly lease: string | null;
}

/** The source asks, with a hint to abort or with the permit: what the destination does, and what it says. */
export function destinationAnswers(w: World, event: DestinationEvent, config: Config): Answered[] {
  const silent = (next: World): Answered => ({ variant: { note: '', cost: 0, next }, answer: 'silent', lease: null });
  if (!w.destinationUp) return [silent(w)];
  if (w.record === null && w.storeReplaced && !config.off.has('store-id')) return [silent(w)];
  if (w.record === null || w.destination === null) {
    return [{ variant: { note: '', cost: 0, next: buried(w, config) }, answer: 'aborted', lease: null }];
  }
  return destinationHearsAfterLook(w, event, config).map((variant) => {
    const record = variant.next.destination?.record ?? w.record;
    if (variant.cost === 1 || record === null) return { variant, answer: 'silent', lease: null };
    const answer = answerOf(record);
    const said = answer === 'committed' || answer === 'aborted' || answer === 'unknown' ? answer : variant.next.said;
    return { variant: { ...variant, next: { ...variant.next, said } }, answer, lease: record.lease };
  });
}

/** The tombstone of a key that was never seen here. */
export function buried(w: World, config: Config): World {
  if (w.record !== null) return w;
  if (config.off.has('tombstone')) return { ...w, said: 'aborted' };
  const record = decide(openRecord(config), 'aborted');
  return restartDestination({ ...w, said: 'aborted', record: intern({ ...record, reason: null }) }, config);
}

/** The source's own word, over the network or not at all. */
export function sourceWord(w: World, config: Config): SourceWord {
  const { off } = config;
  const again = w.destination?.activity.t === 'asking-again';
  if (off.has('abort-evidence') || (off.has('evidence-again') && again)) return { t: 'holds' };
  // Of an unbound record nobody knows whom to ask.
  if (w.source === null || (w.destination !== null && !isBound(w.destination.record))) return { t: 'silent' };
  const qemu = off.has('fresh-word') ? w.source.qemu : w.sourceQemu === 'gone' ? 'gone' : 'alive';
  const said = wordOf(w.source.journal, qemu);
  if (said.guest === 'holds') return { t: 'holds' };
  return { t: 'gone', permit: off.has('drive-finish') ? null : said.permit, destroyed: said.destroyed, ranOn: said.ranOn };
}

export const finishEvent: DestinationEvent = intern({ t: 'finish', permit });
export const abortEvent: DestinationEvent = intern({ t: 'abort-wanted', reason: 'wanted' });
