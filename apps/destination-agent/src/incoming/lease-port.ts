import { VmferryError } from '@vmferry/errors';
import { encodeLockState, type LeaseHandover, returnLease, takeLease } from '@vmferry/locking';
import type { DestinationContext } from '../context.js';
import type { IncomingLease } from './incoming-migration.js';

/** The lease of one migration, in the three answers that the rule knows. */
export function leasePort(
  context: DestinationContext,
  handover: LeaseHandover,
  unchanged: () => Promise<boolean>,
): IncomingLease {
  let takenEpochs: string | null = null;
  const stillHeld = async (): Promise<boolean> => {
    if (takenEpochs === null) return true;
    const { state, heldByMe } = await context.locks.inquire(handover.vm, handover.resources);
    return heldByMe && encodeLockState(state) === takenEpochs;
  };
  return {
    async take() {
      try {
        takenEpochs = encodeLockState(await takeLease(context.locks, handover));
        return 'taken';
      } catch (thrown) {
        context.log.warn('the lease could not be taken', { error: thrown });
        return VmferryError.is(thrown, 'lease-busy') || VmferryError.is(thrown, 'lease-stale') ? 'refused' : 'unavailable';
      }
    },
    async giveBack() {
      try {
        return { t: 'returned', lease: encodeLockState(await returnLease(context.locks, handover)) };
      } catch (thrown) {
        context.log.warn('the lease could not be given back', { error: thrown });
        return { t: 'unavailable' };
      }
    },
    async stillMine() {
      const [held, same] = await Promise.all([stillHeld(), unchanged()]);
      return held && same;
    },
  };
}
