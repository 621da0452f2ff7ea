import { VmferryError } from '@vmferry/errors';
import { auditedOf, type Guest } from '@vmferry/guest';
import { cancelMigration } from '@vmferry/hypervisor';
import type { SourceContext } from '../context.js';
import type { Domain } from '../domains/domain.js';
import { discardPartial, isCommitted } from './image-target.js';

/** A guest whose save has come to nothing goes on, when it ran before: running, save canceled. It has kept its lease all the while. */
export async function goOn(context: SourceContext, domain: Domain, guest: Guest, wasRunning: boolean): Promise<void> {
  if (wasRunning) {
    await guest.qmp.execute('cont', {});
    await guest.update({ state: 'running', reason: 'save canceled', file: null });
    domain.tell();
    await domain.reconcile();
  } else await guest.update({ file: null });
  context.log.info('the save has ended, and the guest goes on', { domain: domain.name });
}

/**
 * After a restart of the agent in the middle of a save or a restore. An image that has taken its place has the guest, and QEMU is ended; otherwise the guest goes on,
 * and what was written is removed. A guest that was still being read from its image is ended: it has not run, and the image has it.
 */
export async function recoverFile(context: SourceContext, domain: Domain): Promise<void> {
  const { guest } = domain;
  const file = guest?.status.file ?? null;
  if (guest === null || file === null) return;
  if (file.t === 'restoring') {
    const isAudited = (await context.auditor.lastControl(domain.uuid, guest.status.process.pid)) === 'start';
    if (!isAudited)
      await context.auditor.startFailed(auditedOf(guest.definition, undefined, context.guestHost.security), 'restored');
    return domain.end({ state: 'shutoff', reason: 'failed' }, isAudited ? 'failed' : null);
  }
  if (await isCommitted(file)) return domain.end({ state: 'shutoff', reason: 'saved' }, 'saved');
  await cancelMigration(guest.qmp).catch((thrown: unknown) => {
    if (VmferryError.is(thrown, 'guest-gone')) throw thrown;
    context.log.warn('the save of an earlier life could not be cancelled', { domain: domain.name, error: thrown });
  });
  await discardPartial(file);
  await goOn(context, domain, guest, file.wasRunning);
}
