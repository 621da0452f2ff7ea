import type { DestinationEffect, DestinationEvent } from '../destination-machine.js';
import type { SourceEffect, SourceEvent } from '../source-machine.js';
import {
  abortEvent,
  crashDestination,
  destinationAnswers,
  destinationHears,
  factAbout,
  finishEvent,
  sourceWord,
} from './destination-side.js';
import { listOf } from './intern.js';
import { crashSource, sourceHears } from './source-side.js';
import { type Config, late, type Variant, type World } from './world.js';

/* What an effect brings about, with every way in which it can go wrong. Each may also be the last thing that its agent did. */

const free = (next: World): Variant[] => [{ note: '', cost: 0, next }];
const fault = (note: string, next: World): Variant => ({ note, cost: 1, next });

/** `then` follows each variant; at most one disturbance fits into one transition. */
export function followed(variants: readonly Variant[], then: (w: World) => Variant[]): Variant[] {
  return variants.flatMap((first) =>
    then(first.next)
      .filter((second) => first.cost + second.cost <= 1)
      .map((second) => ({
        note: first.note + second.note,
        cost: first.cost === 1 || second.cost === 1 ? 1 : 0,
        next: second.next,
      })),
  );
}

export function stopCpusAfterFailure(config: Config): 'run-failed' | 'stop-failed' {
  return config.guest === 'running' ? 'run-failed' : 'stop-failed';
}

export function sourceEffect(before: World, effect: SourceEffect, config: Config): Variant[] {
  const w = { ...before, sourceTodo: listOf(before.sourceTodo.slice(1)) };
  const hears = (event: SourceEvent) => (world: World) => sourceHears(world, event, config);
  const acted = (world: World, event: SourceEvent): Variant[] => [
    ...followed(free(world), hears(event)),
    fault(', then the agent ends', crashSource(world)),
  ];
  switch (effect.t) {
    case 'cancel-qemu':
      return cancelQemu(w, config);
    case 'ask':
      return asks(w, abortEvent, config);
    case 'drive-finish':
      return asks(w, finishEvent, config);
    case 'leave':
      return acted({ ...w, sourceQemu: 'gone' }, { t: 'cleaned' });
    case 'resume':
      return resume(w, config, acted);
    case 'destroy-qemu':
      return free({ ...w, sourceQemu: 'gone', destinationQemu: cutOff(w) });
    case 'acknowledge':
    case 'retry-later':
      return free(w);
  }
}

/** QEMU resumes a guest that it had stopped itself (qemu-behaviour, J); one that had completed says so. */
function cancelQemu(w: World, config: Config): Variant[] {
  const status = w.sourceQemu.split('-')[1];
  if (status === 'none') return sourceHears(w, { t: 'perform-failed' }, config);
  if (status !== 'active') return free(w);
  return free({ ...w, sourceQemu: stopCpusAfterFailure(config), destinationQemu: cutOff(w) });
}

/** What the end of the stream means for a destination that has not loaded: the last of the image may be on its way already. */
export function cutOff(w: World): World['destinationQemu'] {
  if (w.destinationQemu !== 'incoming') return w.destinationQemu;
  return w.sourceQemu === 'stop-active' ? 'draining' : 'gone';
}

function asks(w: World, event: DestinationEvent, config: Config): Variant[] {
  const silent: SourceEvent = { t: 'answer', answer: 'silent', lease: null };
  // In v2 the destination fetches the permit, and what is late is the source's answer to that.
  const finish = config.protocol === 'v3' ? late.finish : late.permit;
  const bit = event.t === 'finish' ? finish : late.abort;
  const answered = destinationAnswers(w, event, config);
  const heard = answered.flatMap(({ variant, answer, lease }) =>
    followed([variant], (world) => sourceHears(world, { t: 'answer', answer, lease }, config)),
  );
  const lost = answered
    .filter(({ variant }) => variant.cost === 0)
    .flatMap(({ variant }) => sourceHears(variant.next, silent, config).map(({ next }) => fault(', the answer is lost', next)));
  const delayed = sourceHears({ ...w, late: w.late | bit }, silent, config).map(({ next }) =>
    fault(', the question comes late', next),
  );
  return [...heard, ...lost, ...delayed];
}

function resume(w: World, config: Config, acted: (world: World, event: SourceEvent) => Variant[]): Variant[] {
  if (w.sourceQemu === 'gone' || w.source === null) return free(w);
  const refused = sourceHears(w, { t: 'resume-failed' }, config);
  const { returnedLease, resumeOnRollback } = w.source.journal;
  // The source frees its lease at the epoch that it has.
  const known = (lease: string) => (lease === 'sf' ? 's0' : lease);
  if (w.lease === 'd' || (returnedLease !== null && known(w.lease) !== known(returnedLease) && w.lease !== 's1')) return refused;
  const leased: World = config.lease === 'transfer' || config.lease === 'release' ? { ...w, lease: 's1' } : w;
  if (config.imageLock && w.destinationQemu === 'running') return sourceHears(leased, { t: 'resume-failed' }, config);
  const runs = resumeOnRollback || w.sourceQemu.startsWith('run');
  const resumed: World = { ...leased, sourceQemu: runs ? 'run-none' : 'stop-none' };
  return [...acted(resumed, { t: 'resumed' }), ...refused.map(({ next }) => fault(', the lease store does not answer', next))];
}

export function destinationEffect(before: World, effect: DestinationEffect, config: Config): Variant[] {
  const w = { ...before, destinationTodo: listOf(before.destinationTodo.slice(1)) };
  const hears = (world: World, event: DestinationEvent): Variant[] => destinationHears(world, event, config);
  const acted = (world: World, event: DestinationEvent): Variant[] => [
    ...hears(world, event),
    fault(', then the agent ends', crashDestination(world)),
  ];
  const gone = w.destinationQemu === 'gone' || w.destinationQemu === 'none';
  switch (effect.t) {
    case 'take-lease':
      return takeLease(w, config, acted);
    case 'return-lease':
      return returnLease(w, config, acted);
    case 'recheck':
      return gone && !config.off.has('recheck')
        ? hears(w, { t: 'rechecked', ok: false })
        : [...hears(w, { t: 'rechecked', ok: true }), ...asFault(', the check fails', hears(w, { t: 'rechecked', ok: false }))];
    case 'cont':
      return gone ? hears(w, { t: 'qemu-gone' }) : cont(w, config);
    case 'prove': {
      const fact = factAbout(w);
      return fact !== null && fact.t !== 'qemu-loaded' ? hears(w, fact) : hears(w, { t: 'cont-unproven' });
    }
    case 'ask-source':
      return [
        ...hears(w, { t: 'source-word', word: sourceWord(w, config) }),
        ...asFault(
          ', the word is lost',
          hears(w, { t: 'source-word', word: config.off.has('abort-evidence') ? { t: 'holds' } : { t: 'silent' } }),
        ),
      ];
    case 'kill': {
      // What QEMU wrote before its end is read before its end.
      const resumed = w.destinationQemu === 'running' ? hears(w, { t: 'qemu-resumed' }) : free(w);
      return followed(resumed, (world) => acted({ ...world, destinationQemu: 'gone' }, { t: 'qemu-gone' }));
    }
    case 'retry-later':
      return free(w);
  }
}

function asFault(note: string, variants: readonly Variant[]): Variant[] {
  return variants.filter(({ cost }) => cost === 0).map(({ next }) => fault(note, next));
}

type Acted = (world: World, event: DestinationEvent) => Variant[];

/** Finish takes the lease as Begin read it, its own, or one that it gave back and that the source has not reclaimed (locking 4.5). */
function takeLease(w: World, config: Config, acted: Acted): Variant[] {
  if (config.off.has('lease-first')) return acted(w, { t: 'lease-taken' });
  if (config.lease === 'none') return acted(w, { t: 'lease-taken' });
  const unavailable = destinationHears(w, { t: 'lease-unavailable' }, config);
  const isOthers = w.lease === 's1' || (config.lease === 'release' && w.lease === 's0');
  if (isOthers) return destinationHears(w, { t: 'lease-refused' }, config);
  const taken: World = { ...w, lease: config.lease === 'host' ? 'h1' : 'd' };
  return [
    ...acted(taken, { t: 'lease-taken' }),
    ...asFault(', the lease store does not answer', unavailable),
    ...asFault(', the lease store took it and does not answer', destinationHears(taken, { t: 'lease-unavailable' }, config)),
    ...asFault(', the lease store refuses', destinationHears(w, { t: 'lease-refused' }, config)),
  ];
}

function returnLease(w: World, config: Config, acted: Acted): Variant[] {
  if (config.off.has('lease-back') || config.lease === 'none') return acted(w, { t: 'lease-returned', lease: null });
  if (config.lease === 'host') return acted({ ...w, lease: 'h0' }, { t: 'lease-returned', lease: null });
  const lease = w.lease === 'd' ? 'sr' : w.lease;
  return [
    ...acted({ ...w, lease }, { t: 'lease-returned', lease }),
    ...asFault(', the lease store does not answer', destinationHears(w, { t: 'lease-unavailable' }, config)),
    ...asFault(
      ', the lease store took it back and does not answer',
      destinationHears({ ...w, lease }, { t: 'lease-unavailable' }, config),
    ),
  ];
}

function cont(w: World, config: Config): Variant[] {
  const refused = destinationHears(w, { t: 'cont-refused' }, config);
  const locked = config.imageLock && w.sourceQemu !== 'gone' && w.sourceQemu !== 'stop-completed';
  if (locked) return refused;
  const running: World = { ...w, destinationQemu: 'running', destinationRan: true };
  return [
    ...free(running),
    fault(', then the agent ends', crashDestination(running)),
    ...asFault(', QEMU refuses', refused),
    ...asFault(', the answer is lost', destinationHears(running, { t: 'cont-unproven' }, config)),
    ...asFault(', the command is lost', destinationHears(w, { t: 'cont-unproven' }, config)),
  ];
}
