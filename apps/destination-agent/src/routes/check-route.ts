import { checkPrepareReply, checkPrepareRequest } from '@vmferry/api';
import { defineRoute, type Route } from '@vmferry/service';
import type { DestinationContext } from '../context.js';
import { checkPrepare } from '../incoming/check-prepare.js';
import type { Incomings } from '../incoming/incomings.js';

/** For the source-agent that checks a migration, and for a client that has begun one. */
export function checkRoute(context: DestinationContext, incomings: Incomings): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/migrations/check',
    summary: 'Tells all that is in the way of a Prepare, without a trace.',
    permission: 'migrate-receive',
    changes: false,
    body: checkPrepareRequest,
    reply: { status: 200, schema: checkPrepareReply },
    problems: ['state-unreadable'],
    handler: async ({ body }) => ({ body: await checkPrepare(context, incomings, body) }),
  });
}
