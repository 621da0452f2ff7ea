import { breakLeaseRequest, leaseParams, leaseResource } from '@vmferry/api';
import { defineRoute, type Route } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import { Leases, saidOf } from '../domains/leases.js';

export function leaseRoutes(context: SourceContext): Route[] {
  const leases = new Leases(context);
  return [
    defineRoute({
      method: 'get',
      path: '/v1/leases/:uuid',
      summary: 'The lease of a guest, as the lock driver of this host knows it.',
      permission: 'read',
      params: leaseParams,
      reply: { status: 200, schema: leaseResource },
      problems: ['lease-unavailable'],
      handler: async ({ params: { uuid } }) => ({ body: await leases.of(uuid) }),
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
        ctx.tell({ what: saidOf(ctx.body) });
        await leases.break(uuid, ctx.body, ctx.principal.name);
        return { body: await leases.of(uuid) };
      },
    }),
  ];
}
