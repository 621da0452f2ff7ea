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
import { defineRoute, type Route } from '@vmferry/service';
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
export function recordRoutes(incomings: Incomings): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/migrations/:id/outcome',
      summary: 'Says what the outcome record says; with abortUnlessCommitted it starts the hold rule first.',
      permission: 'agent',
      // A source in doubt asks until it has an answer; only a wish to abort can change what the record says.
      changes: ({ abortUnlessCommitted }) => abortUnlessCommitted,
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
      problems: ['migration-not-found', 'past-point-of-no-return', 'state-unwritable'],
      handler: async ({ params: { id }, body, principal, requestId, tell }) => {
        const by = { principal: principal.name, requestId };
        tell({ what: `keep=${body.keep}` });
        return { body: await incomings.resolve(id, body, by, AbortSignal.timeout(settleMs)) };
      },
    }),
  ];
}
