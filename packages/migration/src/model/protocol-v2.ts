import { answerOf, isBound } from '../record.js';
import { isUndecided } from '../source-machine.js';
import { buried, destinationHears, finishEvent } from './destination-side.js';
import { followed } from './effects.js';
import { intern } from './intern.js';
import { type Add, buriedUnlessReplaced } from './messages.js';
import { sourceHears } from './source-side.js';
import { binding, type Config, late, type Variant, type World } from './world.js';

/*
 * What protocol v2 does otherwise: the source binds the record before it tells QEMU to migrate, Finish makes the destination fetch
 * the permit, and the source reads the record by itself, because nobody sends it a Confirm.
 */

const free = (next: World): Variant[] => [{ note: '', cost: 0, next }];
const asFault = (note: string, variants: readonly Variant[]): Variant[] =>
  variants.filter(({ cost }) => cost === 0).map(({ next }) => ({ note, cost: 1, next }));

/** The question that binds; it can be lost, come late, or its answer can be lost. */
export function bindMove(w: World, config: Config, add: Add): void {
  const failed = (world: World): Variant[] => sourceHears({ ...world, migrateWanted: false }, { t: 'perform-failed' }, config);
  const heard = bindHeard(w, config);
  add(
    'source',
    'source: bind',
    followed(heard, (world) => (isAnsweredBound(world) ? free({ ...world, bindAnswered: true }) : failed(world))),
  );
  for (const { cost, next } of heard)
    if (cost === 0) add('source', 'source: bind', asFault(', the answer is lost', failed(next)));
  add('source', 'source: bind', asFault(', the request comes late', failed({ ...w, late: w.late | late.bind })));
}

/** What a binding does at the destination, in time or late. */
export function bindHeard(w: World, config: Config): Variant[] {
  if (!w.destinationUp) return free(w);
  if (w.destination === null) return free(w.storeReplaced ? w : buried(w, config));
  return destinationHears(w, intern({ t: 'bind', binding: binding(config) }), config);
}

function isAnsweredBound({ destinationUp, destination, record }: World): boolean {
  return destinationUp && destination !== null && record?.decision === 'open' && isBound(record);
}

/** The source's answer to Finish's question comes after Finish was given up. */
export function latePermitMove(w: World, add: Add): void {
  if (w.source?.journal.stage !== 'permitted' || !w.destinationUp) return;
  add('environment', 'client: finish', [
    { note: ', the permit comes late', cost: 1, next: { ...w, driver: 'confirm', late: w.late | late.permit } },
  ]);
}

/** Finish without a permit in the driver's hand: the destination has it from the source, which gives it at this one stage. */
export function finishHeard(w: World, config: Config): Variant[] {
  const world = buriedUnlessReplaced(w, config);
  return w.source?.journal.stage === 'permitted' || config.off.has('permit-when-asked')
    ? destinationHears(world, finishEvent, config)
    : free(world);
}

/** The source's own reading of the record; what is not final changes nothing there. */
export function watchMove(w: World, config: Config, add: Add): void {
  if (w.source?.journal.stage !== 'permitted' || !w.destinationUp || w.record === null) return;
  const answer = answerOf(w.record);
  if (isUndecided(answer)) return;
  add(
    'source',
    'source: reads the record',
    sourceHears({ ...w, said: answer }, { t: 'read', answer, lease: w.record.lease }, config),
  );
}
