import type { DestinationEvent } from '../destination-machine.js';
import { isFinal } from '../record.js';
import type { SourceEvent } from '../source-machine.js';
import {
  abortEvent,
  crashDestination,
  destinationHears,
  destinationHearsAfterLook,
  factAbout,
  finishEvent,
  prepareDestination,
  restartDestination,
} from './destination-side.js';
import { driverMoves } from './driver.js';
import { cutOff, destinationEffect, followed, sourceEffect, stopCpusAfterFailure } from './effects.js';
import { intern, listOf } from './intern.js';
import { type Add, buriedUnlessReplaced, endOfSession, performed } from './messages.js';
import { bindHeard, bindMove, finishHeard, watchMove } from './protocol-v2.js';
import { crashSource, restartSource, sourceHears } from './source-side.js';
import { type By, type Config, late, type Transition, type Variant, type World } from './world.js';

/** Everything that can happen next. Those that cost a disturbance are left out when `disturbancesLeft` is 0. */
export function transitionsOf(w: World, config: Config, disturbancesLeft: number): Transition[] {
  const all: Transition[] = [];
  const add = (by: By, label: string, variants: readonly Variant[]): void => {
    for (const { note, cost, next } of variants) {
      if (cost > disturbancesLeft || next === w) continue;
      const named = label + note;
      if (cost === 0 || config.only === null || config.only.some((word) => named.includes(word)))
        all.push({ label: named, by, cost, next: aged(ended(next, config)) });
    }
  };
  agents(w, config, add);
  qemus(w, config, add);
  if (disturbancesLeft > 0) disturbances(w, config, add);
  driverMoves(w, config, add);
  lateMessages(w, config, add);
  if (config.off.has('mutex')) strayWriter(w, add);
  return all;
}

/** An image is stale as soon as the guest runs at the source after it was taken. */
function aged(w: World): World {
  const taken = w.destinationQemu === 'draining' || w.destinationQemu === 'loaded' || w.destinationQemu === 'running';
  return taken && !w.stale && w.sourceQemu.startsWith('run') ? { ...w, stale: true } : w;
}

const free = (next: World): Variant[] => [{ note: '', cost: 0, next }];

function agents(w: World, config: Config, add: Add): void {
  if (w.source === null) add('source', 'the source agent restarts', free(restartSource(w, config)));
  else sourceAgent(w, config, add);
  if (!w.destinationUp) add('destination', 'the destination agent restarts', free(restartDestination(w, config)));
  else destinationAgent(w, config, add);
}

function sourceAgent(w: World, config: Config, add: Add): void {
  const hears = (event: SourceEvent, world: World = w): Variant[] => sourceHears(world, event, config);
  const [effect] = w.sourceTodo;
  if (effect !== undefined) add('source', `source: ${effect.t}`, sourceEffect(w, effect, config));
  const state = w.source;
  if (state === null) return;
  const { stage } = state.journal;
  const status = w.sourceQemu.split('-')[1];
  if (w.sourceQemu === 'gone' && state.qemu === 'alive') add('source', 'source: its QEMU is gone', hears({ t: 'qemu-gone' }));
  if (stage === 'performing' && status === 'completed') add('source', 'source: QEMU has completed', completed(w, config));
  if (stage === 'performing' && status === 'failed') add('source', 'source: QEMU has failed', hears({ t: 'perform-failed' }));
  if (config.protocol === 'v2') watchMove(w, config, add);
  if (w.migrateWanted && status === 'none') {
    if (stage === 'performing' && config.protocol === 'v2' && !mayMigrate(w, config)) bindMove(w, config, add);
    else if (stage === 'performing' && mayMigrate(w, config)) {
      add(
        'source',
        'source: migrate',
        free({
          ...w,
          migrateWanted: false,
          bindAnswered: false,
          sourceQemu: w.sourceQemu.startsWith('run') ? 'run-active' : 'stop-active',
        }),
      );
    } else add('source', 'source: cannot migrate', hears({ t: 'perform-failed' }, { ...w, migrateWanted: false }));
  }
  if (w.sourceRetry) add('source', 'source: retry', hears({ t: 'retry' }, { ...w, sourceRetry: false }));
  if (w.sourceAgain !== null) add('source', `source: ${w.sourceAgain.t} again`, broughtAgain(w, w.sourceAgain, config));
  if (w.sourceSession === 'due')
    add('source', 'source: its session is lost', hears({ t: 'cancel' }, { ...w, sourceSession: 'over' }));
  if (w.journal !== state.journal && config.off.has('permit-durable'))
    add('source', 'source: the permit is journalled', free({ ...w, journal: state.journal }));
}

/** A lease that cannot be moved at once is freed first; when that fails QEMU has completed all the same (locking, 4.3). */
function completed(w: World, config: Config): Variant[] {
  const hears = (world: World): Variant[] => sourceHears(world, { t: 'qemu-completed' }, config);
  if (config.lease !== 'release') return hears(w);
  const freed: World = w.lease === 's0' ? { ...w, lease: 'sf' } : w;
  const given = (world: World, note: string): Variant[] =>
    followed(sourceHears(world, { t: 'cancel' }, config), hears)
      .filter(({ cost }) => cost === 0)
      .map(({ next }) => ({ note, cost: 1, next }));
  return [
    ...hears(freed),
    { note: ', then the agent ends', cost: 1, next: crashSource(freed) },
    ...given(w, ', the lease store does not answer'),
    ...given(freed, ', the lease store freed it and does not answer'),
  ];
}

/** Of a QEMU that has ended sanlock frees the lease. The source's after a rollback is left as it is: nobody else knows its epoch. */
function ended(w: World, config: Config): World {
  if (config.lease !== 'release') return w;
  if (w.sourceQemu === 'gone' && w.lease === 's0') return { ...w, lease: 'sf' };
  return w.destinationQemu === 'gone' && w.lease === 'd' ? { ...w, lease: 'sr' } : w;
}

/** An event whose journal could not be written is old by now: the shell looks at QEMU before it brings it again. */
function broughtAgain(w: World, event: SourceEvent, config: Config): Variant[] {
  const cleared = { ...w, sourceAgain: null };
  const news = w.sourceQemu === 'gone' && w.source?.qemu === 'alive' && !config.off.has('fresh-again');
  if (!news) return sourceHears(cleared, event, config);
  return sourceHears(cleared, { t: 'qemu-gone' }, config).flatMap((first) =>
    first.cost === 1 ? [first] : sourceHears(first.next, event, config),
  );
}

/** Perform reads the record at the peer before QEMU is asked to migrate; in v2 the answer of the binding stands for that. */
function mayMigrate(w: World, config: Config): boolean {
  if (w.destinationQemu !== 'incoming') return false;
  if (config.protocol === 'v2') return w.bindAnswered || config.off.has('bind-before-migrate');
  return config.off.has('read-before-migrate') || (w.destinationUp && w.record?.decision === 'open');
}

function destinationAgent(w: World, config: Config, add: Add): void {
  const [effect] = w.destinationTodo;
  if (effect !== undefined) add('destination', `destination: ${effect.t}`, destinationEffect(w, effect, config));
  const fact = factAbout(w);
  if (fact !== null) add('destination', `destination: ${fact.t}`, destinationHears(w, fact, config));
  if (w.destination === null) return;
  if (w.destinationRetry) {
    add(
      'destination',
      'destination: retry',
      destinationHearsAfterLook({ ...w, destinationRetry: false }, { t: 'retry' }, config),
    );
  }
  if (w.destinationSession === 'due') {
    const lost = destinationHearsAfterLook({ ...w, destinationSession: 'over' }, abortEvent, config);
    add('destination', 'destination: its session is lost', lost);
  }
}

/** What QEMU does by itself (qemu-behaviour). */
function qemus(w: World, config: Config, add: Add): void {
  const move = (label: string, next: World): void => add('environment', label, free(next));
  const atStop = config.lease === 'release' && config.off.has('free-completed');
  if (w.sourceQemu === 'run-active')
    move('QEMU stops the guest on the source', { ...w, sourceQemu: 'stop-active', ...(atStop ? { lease: 'sf' as const } : {}) });
  const arriving = w.destinationQemu === 'draining' || (w.destinationQemu === 'incoming' && w.sourceQemu === 'stop-active');
  if (arriving) {
    const runs = config.off.has('start-paused');
    move('the image is loaded', { ...w, destinationQemu: runs ? 'running' : 'loaded', destinationRan: w.destinationRan || runs });
  }
  if (w.destinationQemu === 'draining') move('the image breaks off', { ...w, destinationQemu: 'gone' });
  const acknowledged =
    w.destinationQemu === 'loaded' ||
    w.destinationQemu === 'running' ||
    (config.off.has('return-path') && w.destinationQemu === 'incoming');
  if (w.sourceQemu === 'stop-active' && acknowledged) {
    move('QEMU completes on the source', {
      ...w,
      sourceQemu: 'stop-completed',
      destinationQemu: w.destinationQemu === 'incoming' ? 'draining' : w.destinationQemu,
    });
  }
  const active = w.sourceQemu === 'run-active' || w.sourceQemu === 'stop-active';
  const lost = w.destinationQemu === 'gone' || w.destinationQemu === 'none';
  if (active && lost) move('QEMU fails on the source and goes on', { ...w, sourceQemu: stopCpusAfterFailure(config) });
}

function disturbances(w: World, config: Config, add: Add): void {
  const disturb = (label: string, next: World): void => add('environment', label, [{ note: '', cost: 1, next }]);
  if (w.source !== null) disturb('the source agent ends', crashSource(w));
  if (w.destinationUp) disturb('the destination agent ends', crashDestination(w));
  if (w.sourceQemu !== 'gone') disturb('the source QEMU dies', { ...w, sourceQemu: 'gone', destinationQemu: cutOff(w) });
  if (w.destinationQemu !== 'gone' && w.destinationQemu !== 'none')
    disturb('the destination QEMU dies', { ...w, destinationQemu: 'gone' });
  const active = w.sourceQemu === 'run-active' || w.sourceQemu === 'stop-active';
  if (active) disturb('the stream breaks', { ...w, sourceQemu: stopCpusAfterFailure(config), destinationQemu: cutOff(w) });
  if (w.sourceSession === 'alive') disturb('the source loses the session', { ...w, sourceSession: 'due' });
  if (w.destinationSession === 'alive') disturb('the destination loses the session', { ...w, destinationSession: 'due' });
  if (w.driver !== 'done' && w.driver !== 'dead') disturb('the client ends', endOfSession({ ...w, driver: 'dead' }));
  if (!w.storeReplaced)
    disturb('the destination store is made anew', { ...crashDestination(w), record: null, storeReplaced: true });
  // Whoever fenced the source's host keeps the image when he knows that the guest was not let go on there.
  const unpermitted = w.destination?.activity.t === 'held' && w.destination.activity.reason === 'source-crashed-unpermitted';
  if (unpermitted && w.sourceQemu === 'gone' && !w.stale && !w.userDestroyed)
    add(
      'destination',
      'an operator keeps the destination',
      paid(destinationHears(w, { t: 'resolve', keep: 'destination' }, config)),
    );
  const { source } = w;
  if (
    source !== null &&
    (source.journal.stage === 'performing' || source.journal.stage === 'permitted' || source.journal.stage === 'begun')
  ) {
    add('source', 'the user cancels', paid(sourceHears(w, { t: 'cancel' }, config)));
    if (!w.userDestroyed) add('source', 'the user destroys the guest', paid(sourceHears(w, { t: 'destroy' }, config)));
  }
  const sentenced = w.destination?.activity.t === 'killing' || w.record?.decision === 'aborted';
  if (config.refusedMayRun && sentenced && w.destination?.cont === 'refused' && w.destinationQemu === 'loaded') {
    disturb('a refused guest runs', { ...w, destinationQemu: 'running', destinationRan: true });
  }
}

function paid(variants: readonly Variant[]): Variant[] {
  return variants.filter(({ cost }) => cost === 0).map((variant) => ({ ...variant, cost: 1 }));
}

/** Messages that their sender has given up on. */
function lateMessages(w: World, config: Config, add: Add): void {
  const deliver = (bit: number, label: string, made: (world: World) => Variant[]): void => {
    if ((w.late & bit) !== 0) add('environment', `late: ${label}`, made({ ...w, late: w.late & ~bit }));
  };
  const heardBy = (world: World, event: DestinationEvent): Variant[] =>
    world.destinationUp ? destinationHearsAfterLook(buriedUnlessReplaced(world, config), event, config) : free(world);
  deliver(late.prepare, 'prepare', (world) => free(world.destinationUp ? prepareDestination(world, config) : world));
  deliver(late.finish, 'finish', (world) => {
    if (config.protocol === 'v3') return heardBy(world, finishEvent);
    return world.destinationUp ? finishHeard(world, config) : free(world);
  });
  deliver(late.permit, 'permit', (world) => heardBy(world, finishEvent));
  deliver(late.bind, 'bind', (world) => bindHeard(world, config));
  deliver(late.abort, 'abort', (world) => heardBy(world, abortEvent));
  deliver(late.confirm, 'confirm', (world) => sourceHears(world, { t: 'confirm' }, config));
  deliver(late.perform, 'perform', (world) => performed(world, config));
}

/** With the mutex off: an abort that took its evidence, and writes its decision over whatever the record says by then. */
function strayWriter(w: World, add: Add): void {
  const { destination } = w;
  if (destination === null) return;
  const wanted = w.destinationSession !== 'alive' || destination.abortReason !== null;
  const holds = w.source !== null && w.sourceQemu !== 'gone';
  if (w.stray === 'none' && wanted && holds && destination.record.decision === 'open')
    add('destination', 'stray abort: evidence', free({ ...w, stray: 'evidence' }));
  if (w.stray === 'evidence' && !(isFinal(destination.record) && destination.record.decision === 'aborted')) {
    const record = intern({ ...destination.record, decision: 'aborted' as const });
    const state = intern({ ...destination, record, activity: { t: 'idle' as const } });
    add(
      'destination',
      'stray abort: written',
      free({ ...w, stray: 'done', record, destination: state, destinationTodo: listOf([{ t: 'kill' as const }]) }),
    );
  }
}
