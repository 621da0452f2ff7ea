import {
  acknowledgeRequest,
  migrationId,
  migrationResource,
  outcomeReply,
  outcomeRequest,
  resolveRequest,
  z,
} from '@vmferry/api';
import { defineRoute, type Route } from '@vmferry/service';
import type { Incomings } from '../incoming/incomings.js';

const params = z.strictObject({ id: migrationId });
/** How long an answer waits for the hold rule, which may take as long as the source is silent. */
const settleMs = 20_000;

/** The questions about the outcome record, and an administrator's word about a held one. */
export function recordRoutes(incomings: Incomings): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/migrations/:id/outcome',
      summary: 'Says what the outcome record says; with abortUnlessCommitted it starts the hold rule first.',
      permission: 'agent',
      params,
      body: outcomeRequest,
      reply: { status: 200, schema: outcomeReply },
      problems: ['state-unwritable'],
      handler: async ({ params: { id }, body }) => ({ body: await incomings.outcome(id, body, AbortSignal.timeout(settleMs)) }),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/migrations/:id/acknowledge',
      summary: 'The source has acted on the record.',
      permission: 'agent',
      params,
      body: acknowledgeRequest,
      reply: { status: 204 },
      problems: ['state-unwritable'],
      handler: async ({ params: { id }, body }) => {
        await incomings.acknowledge(id, body);
        return {};
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/migrations/:id/resolve',
      summary: "An administrator's word about a held guest, with proof about the other side.",
      permission: 'admin',
      params,
      body: resolveRequest,
      reply: { status: 200, schema: migrationResource },
      problems: ['migration-not-found', 'past-point-of-no-return'],
      handler: async ({ params: { id }, body, principal, requestId }) => {
        const by = { principal: principal.name, requestId };
        return { body: await incomings.resolve(id, body, by, AbortSignal.timeout(settleMs)) };
      },
    }),
  ];
}
