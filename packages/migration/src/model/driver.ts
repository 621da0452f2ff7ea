import { isFinal } from '../record.js';
import { hasEnded } from '../source-machine.js';
import { abortEvent, destinationHears, destinationHearsAfterLook, finishEvent, prepareDestination } from './destination-side.js';
import { type Add, buriedUnlessReplaced, endOfSession, performed } from './messages.js';
import { finishHeard, latePermitMove } from './protocol-v2.js';
import { sourceHears } from './source-side.js';
import { type Config, type Driver, late, type Variant, type World } from './world.js';

/**
 * Where a driver goes from a step, as `coordinate` does; `driver.spec.ts` holds the two together. `cancel` is Finish without a
 * permit.
 */
export const afterStep = {
  prepare: { done: 'perform', failed: 'cancel' },
  perform: { done: 'finish', failed: 'cancel' },
  finish: { done: 'confirm', failed: 'confirm' },
  cancel: { done: 'confirm', failed: 'confirm' },
  confirm: { done: 'done', failed: 'done' },
} as const satisfies Partial<Record<Driver, { done: Driver; failed: Driver }>>;

/** The moves of whoever drives the five steps. A request can be lost, come late, or twice; a reply can be lost. */
export function driverMoves(w: World, config: Config, add: Add): void {
  switch (w.driver) {
    case 'prepare':
      request(w, add, {
        step: 'prepare',
        up: w.destinationUp,
        apply: (world) => [{ note: '', cost: 0, next: prepareDestination(world, config) }],
        after: w.destinationUp && w.record === null && !w.storeReplaced ? 'perform' : 'cancel',
        bit: late.prepare,
      });
      break;
    case 'perform':
      request(w, add, {
        step: 'perform',
        up: w.source !== null,
        apply: (world) => performed(world, config),
        after: 'performing',
        bit: late.perform,
      });
      break;
    case 'performing':
      whilePerforming(w, config, add);
      break;
    case 'finish':
      if (config.protocol === 'v2') latePermitMove(w, add);
      request(w, add, {
        step: 'finish',
        up: w.destinationUp,
        apply: (world) =>
          config.protocol === 'v2'
            ? finishHeard(world, config)
            : destinationHears(buriedUnlessReplaced(world, config), finishEvent, config),
        after: 'finishing',
        bit: late.finish,
      });
      break;
    case 'finishing':
      whileFinishing(w, add);
      break;
    case 'cancel': {
      const event = config.off.has('permit-required') ? finishEvent : abortEvent;
      const apply = (world: World): Variant[] => destinationHearsAfterLook(buriedUnlessReplaced(world, config), event, config);
      request(w, add, { step: 'cancel', up: w.destinationUp, apply, after: 'confirm', bit: late.abort });
      break;
    }
    case 'confirm':
      // Protocol v2 has no Confirm.
      if (config.protocol === 'v2') add('environment', 'client: done', [{ note: '', cost: 0, next: { ...w, driver: 'done' } }]);
      else
        request(w, add, {
          step: 'confirm',
          up: w.source !== null,
          apply: (world) => sourceHears(world, { t: 'confirm' }, config),
          after: 'done',
          bit: late.confirm,
        });
      break;
    case 'done':
    case 'dead':
      if (w.sourceSession === 'alive' || w.destinationSession === 'alive')
        add('environment', 'the session ends', [{ note: '', cost: 0, next: endOfSession(w) }]);
  }
}

interface Request {
  readonly step: keyof typeof afterStep;
  readonly up: boolean;
  readonly apply: (w: World) => Variant[];
  readonly after: Driver;
  readonly bit: number;
}

function request(w: World, add: Add, { step, up, apply, after, bit }: Request): void {
  const { failed } = afterStep[step];
  const goOn = (variants: readonly Variant[], driver: Driver): Variant[] =>
    variants.map((variant) => ({ ...variant, next: { ...variant.next, driver } }));
  const disturbed = (note: string, variants: readonly Variant[]): Variant[] =>
    variants.filter(({ cost }) => cost === 0).map(({ next }) => ({ note, cost: 1, next }));
  const label = `client: ${step}`;
  if (!up) {
    add('environment', label, [{ note: ', nobody answers', cost: 0, next: { ...w, driver: failed } }]);
    return;
  }
  const by = step === 'perform' || step === 'confirm' ? 'source' : 'destination';
  const heard = apply(w);
  add(
    by,
    label,
    heard.map((variant) => ({ ...variant, next: { ...variant.next, driver: variant.cost === 1 ? failed : after } })),
  );
  add(by, label, disturbed(', the reply is lost', goOn(heard, failed)));
  add(
    by,
    label,
    disturbed(
      ', and once more later',
      goOn(heard, after).map((variant) => ({ ...variant, next: { ...variant.next, late: variant.next.late | bit } })),
    ),
  );
  add('environment', label, [{ note: ', the request comes late', cost: 1, next: { ...w, driver: failed, late: w.late | bit } }]);
  add('environment', label, [{ note: ', the request is lost', cost: 1, next: { ...w, driver: failed } }]);
}

/** Perform's reply carries the permit. */
function whilePerforming(w: World, config: Config, add: Add): void {
  const go = (label: string, driver: Driver, cost: 0 | 1): void =>
    add('environment', `client: ${label}`, [{ note: '', cost, next: { ...w, driver } }]);
  const journal = w.source?.journal;
  if (journal?.stage === 'permitted') go('gets the permit', afterStep.perform.done, 0);
  if (journal === undefined || hasEnded(journal) || journal.stage === 'resuming' || journal.stage === 'leaving')
    go('perform failed', afterStep.perform.failed, 0);
  if (w.sourceQemu === 'gone') go('perform failed', afterStep.perform.failed, 0);
  go('gives perform up', afterStep.perform.failed, 1);
  // In v2 it needs no permit for that, and so nothing of it stops a driver.
  if (config.protocol === 'v2') go('asks Finish too early', 'finish', 1);
}

function whileFinishing(w: World, add: Add): void {
  const { destination } = w;
  const settled =
    destination === null || isFinal(destination.record) || destination.activity.t === 'held' || destination.activity.t === 'idle';
  add('environment', settled ? 'client: finish is answered' : 'client: gives finish up', [
    { note: '', cost: settled ? 0 : 1, next: { ...w, driver: afterStep.finish.done } },
  ]);
}
