import { breakLeaseRequest, leaseParams, leaseResource } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { resourcesOf } from '@vmferry/guest';
import { defineRoute, type Route } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import { auditedActs } from './domain-control-routes.js';

/** The lease of a guest, whoever has it: of a host that is dead only another one can break it (threats, row 18). */
export function leaseRoutes(context: SourceContext): Route[] {
  const audited = auditedActs(context);
  const leaseOf = async (uuid: string) => {
    const { state, heldByMe } = await context.locks.inquire(uuid, resourcesOf(uuid));
    return { uuid, driver: context.locks.name, epoch: state.grants[0]?.epoch ?? '0', heldHere: heldByMe };
  };
  return [
    defineRoute({
      method: 'get',
      path: '/v1/leases/:uuid',
      summary: 'The lease of a guest, as the lock driver of this host knows it.',
      permission: 'read',
      params: leaseParams,
      reply: { status: 200, schema: leaseResource },
      problems: ['lease-unavailable'],
      handler: async ({ params: { uuid } }) => ({ body: await leaseOf(uuid) }),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/leases/:uuid/break',
      summary: 'Frees the lease of a guest whose owner was fenced, with proof.',
      permission: 'admin',
      params: leaseParams,
      body: breakLeaseRequest,
      reply: { status: 200, schema: leaseResource },
      problems: ['lease-busy', 'lease-stale', 'lease-unavailable', 'state-unreadable'],
      handler: async (ctx) => {
        const { uuid } = ctx.params;
        const { epoch, proof } = ctx.body;
        const breaks = async () => {
          await refuseLiving(context, uuid);
          if (proof.t === 'watchdog' && context.locks.fences !== 'watchdog') throw noWatchdog(context.locks.name);
          await context.locks.breakLock(uuid, resourcesOf(uuid), epoch, proof, ctx.principal.name);
        };
        const said = `epoch=${epoch} ${proof.t}=${proof.t === 'operator' ? proof.statement : proof.by}`;
        await audited(ctx, 'POST', `/v1/leases/${uuid}/break`, breaks, said);
        return { body: await leaseOf(uuid) };
      },
    }),
  ];
}

/** A guest that this host has lives, in whichever agent's hand it is; what other hosts do is the driver's to know. */
async function refuseLiving({ locks, guestHost }: SourceContext, uuid: string): Promise<void> {
  if (locks.name === 'none') {
    const detail = 'This host takes no leases (lock driver none), so that there is none to break.';
    throw new VmferryError('invalid-argument', detail);
  }
  if ((await guestHost.statuses.read(uuid)) === null) return;
  const detail = `A QEMU of guest ${uuid} is on this host, and its lease with it: end that one (vmferry domain destroy), or let its migration be decided.`;
  throw new VmferryError('lease-busy', detail, { data: { resource: `vm:${uuid}` } });
}

function noWatchdog(driver: string): VmferryError {
  const detail = `The lock driver ${driver} has no watchdog that could prove anything; say who fenced the owner, or who has looked.`;
  return new VmferryError('invalid-argument', detail);
}
