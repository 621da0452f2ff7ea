import { VmferryError } from '@vmferry/errors';
import { resourcesOf } from '@vmferry/guest';
import { decodeLockState, encodeLockState, type LeaseHandover, returnLease, takeLease } from '@vmferry/locking';
import { keyName } from '@vmferry/migration';
import type { DestinationContext } from '../context.js';
import type { IncomingJournal } from './incoming-journal.js';
import type { IncomingLease } from './incoming-migration.js';

/** The lease of one migration, in the three answers that the rule knows. */
export function leasePort(
  context: DestinationContext,
  journal: () => IncomingJournal,
  unchanged: () => Promise<boolean>,
): IncomingLease {
  let takenEpochs: string | null = null;
  const stillHeld = async (): Promise<boolean> => {
    if (takenEpochs === null) return true;
    const { vm, resources } = handoverOf(context, journal());
    const { state, heldByMe } = await context.locks.inquire(vm, resources);
    return heldByMe && encodeLockState(state) === takenEpochs;
  };
  return {
    async take() {
      try {
        takenEpochs = encodeLockState(await takeLease(context.locks, handoverOf(context, journal())));
        return 'taken';
      } catch (thrown) {
        context.log.warn('the lease could not be taken', { error: thrown });
        return VmferryError.is(thrown, 'lease-busy') || VmferryError.is(thrown, 'lease-stale') ? 'refused' : 'unavailable';
      }
    },
    async giveBack() {
      try {
        return { t: 'returned', lease: encodeLockState(await returnLease(context.locks, handoverOf(context, journal()))) };
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

/** The lease as this migration moves it, from what the journal keeps of the source's cookie: in v2 that is known once it is bound. */
function handoverOf(context: DestinationContext, { record, domain }: IncomingJournal): LeaseHandover {
  return {
    vm: domain?.uuid ?? '',
    resources: resourcesOf(domain?.uuid ?? ''),
    source: record.source.hostUuid,
    destination: context.host.hostUuid,
    migrationId: keyName(record.key),
    offered: record.lease === null ? null : decodeLockState(record.lease, context.locks.name),
  };
}
