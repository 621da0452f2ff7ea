import {
  acknowledgeRequest,
  bindRequest,
  migrationId,
  migrationResource,
  outcomeReply,
  outcomeRequest,
  resolveRequest,
  z,
} from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { isFinal } from '@vmferry/migration';
import { defineRoute, type Route } from '@vmferry/service';
import type { DestinationContext } from '../context.js';
import type { Incomings } from '../incoming/incomings.js';

const params = z.strictObject({ id: migrationId });
/** How long an answer waits for the hold rule, which may take as long as the source is silent. */
const settleMs = 20_000;

/** Of a question about a key: one that was never seen is buried durably, as long as there is room. */
const keyProblems = ['too-many-requests', 'state-unreadable', 'state-unwritable'] as const;

/** Protocol v2: whose record it is. */
function bindRoute(incomings: Incomings): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/migrations/:id/bind',
    summary: 'Protocol v2: the source agent says who it is, before its QEMU migrates; answers what the outcome record says.',
    permission: 'agent',
    params,
    body: bindRequest,
    reply: { status: 200, schema: outcomeReply },
    problems: [
      'cookie-malformed',
      'cookie-too-large',
      'cookie-mismatch',
      'cookie-feature-unsupported',
      'lock-driver-mismatch',
      'same-host',
      'peer-protocol',
      'step-mismatch',
      'migration-aborted',
      ...keyProblems,
    ],
    handler: async ({ params: { id }, body }) => ({ body: await incomings.bind(id, body) }),
  });
}

/** The questions about the outcome record, and an administrator's word about a held one. */
export function recordRoutes(context: DestinationContext, incomings: Incomings): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/migrations/:id/outcome',
      summary: 'Says what the outcome record says; with abortUnlessCommitted it starts the hold rule first.',
      permission: 'agent',
      params,
      body: outcomeRequest,
      reply: { status: 200, schema: outcomeReply },
      problems: [...keyProblems],
      handler: async ({ params: { id }, body }) => ({ body: await incomings.outcome(id, body, AbortSignal.timeout(settleMs)) }),
    }),
    bindRoute(incomings),
    defineRoute({
      method: 'post',
      path: '/v1/migrations/:id/acknowledge',
      summary: 'The source has acted on the record.',
      permission: 'agent',
      params,
      body: acknowledgeRequest,
      reply: { status: 204 },
      problems: ['state-unreadable', 'state-unwritable'],
      handler: async ({ params: { id }, body }) => {
        if (body.storeId === context.host.storeId) await incomings.acknowledge(id, body.nonce);
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
      problems: ['migration-not-found', 'past-point-of-no-return', 'state-unwritable'],
      handler: async ({ params: { id }, body, principal, requestId }) => {
        const incoming = incomings.byId(id);
        const { record, held } = incoming.migration;
        if (isFinal(record) || held === null) {
          throw new VmferryError(
            'past-point-of-no-return',
            `The migration ${id} is not held: its record says ${record.decision}.`,
          );
        }
        const outcome = `resolve keep=${body.keep} proof=${body.proof}`;
        await context.auditor.api({
          principal: principal.name,
          requestId,
          method: 'POST',
          path: `/v1/migrations/${id}/resolve`,
          outcome,
          success: true,
        });
        await incoming.migration.dispatch({ t: 'resolve', keep: body.keep });
        await incoming.migration.until((m) => isFinal(m.record) || m.held !== null, AbortSignal.timeout(settleMs));
        return { body: incoming.live.value };
      },
    }),
  ];
}
