import { buried } from './destination-side.js';
import { sourceHears } from './source-side.js';
import { type By, type Config, destinationPeer, type Variant, type World } from './world.js';

/* What messages bring about, whether they come in time or late. */

export type Add = (by: By, label: string, variants: readonly Variant[]) => void;

/** Whoever drives the migration has stopped: both agents are told, once. */
export function endOfSession(w: World): World {
  return {
    ...w,
    sourceSession: w.sourceSession === 'alive' ? 'due' : w.sourceSession,
    destinationSession: w.destinationSession === 'alive' ? 'due' : w.destinationSession,
  };
}

/** A request about a key that was never seen leaves a tombstone. */
export function buriedUnlessReplaced(w: World, config: Config): World {
  return w.record === null && !w.storeReplaced ? buried(w, config) : w;
}

/** Perform: the journal first; QEMU is asked to migrate later. */
export function performed(w: World, config: Config): Variant[] {
  const fresh = w.source?.journal.stage === 'begun' && !w.source.journal.destroyIntended;
  return sourceHears(w, { t: 'perform', destination: destinationPeer }, config).map((variant) =>
    variant.cost === 0 && fresh ? { ...variant, next: { ...variant.next, migrateWanted: true } } : variant,
  );
}
