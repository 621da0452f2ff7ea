import { VmferryError } from '@vmferry/errors';
import { resourcesOf } from '@vmferry/guest';
import { decodeLockState, reclaimLease } from '@vmferry/locking';
import type { SourceJournal } from '@vmferry/migration';
import type { Log } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import type { Domain } from '../domains/domain.js';

/** Lease first, then `cont`; a guest that its user had paused stays paused. False when it has to be tried again. */
export async function runOnHere(context: SourceContext, domain: Domain, machine: SourceJournal, log: Log): Promise<boolean> {
  const { locks } = context;
  const guest = domain.activeGuest();
  try {
    const returned = machine.returnedLease === null ? null : decodeLockState(machine.returnedLease, locks.name);
    await reclaimLease(locks, domain.uuid, resourcesOf(domain.uuid), returned);
    const { status } = await guest.qmp.execute('query-status', {});
    if (status === 'running') await domain.setState({ state: 'running', reason: 'migration canceled' });
    // A guest that has powered off or panicked meanwhile is settled like any other, once this migration is over.
    const fallen = domain.hasFallen || status === 'shutdown' || status === 'guest-panicked';
    if (fallen || (status !== 'running' && !machine.resumeOnRollback)) return true;
    if (status !== 'running') {
      await guest.qmp.execute('cont', {});
      await domain.setState({ state: 'running', reason: 'migration canceled' });
      domain.warn(null);
    }
    // Whoever has heard of the guest at the destination is told that it is here.
    await guest.announce().catch((error: unknown) => log.warn('the guest could not be announced', { error }));
    return true;
  } catch (error) {
    log.warn('the guest cannot run on here yet; it is tried again', { error });
    domain.warn(
      `After migration ${machine.key.id} the guest could not be run on ${context.host.hostName} yet: ${VmferryError.from(error).message}`,
    );
    return false;
  }
}
