import {
  createMigration,
  emptyBody,
  forceComplete,
  migrationCheck,
  migrationId,
  migrationParameters,
  migrationResource,
  z,
} from '@vmferry/api';
import { defineRoute, type Route, type StepReplies } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import type { Domains } from '../domains/domains.js';
import { checkMigration } from '../outgoing/check-migration.js';
import type { Outgoings } from '../outgoing/outgoings.js';
import type { PeerToPeer } from '../outgoing/peer-to-peer.js';
import { beginProblems } from './step-routes.js';

const params = z.strictObject({ id: migrationId });

/** Migrations under way are cancelled and steered, finished ones forgotten. */
export function migrationRoutes(outgoings: Outgoings, replies: StepReplies): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/migrations/:id/cancel',
      summary: 'Asks to cancel; refused only when the destination has committed.',
      permission: 'migrate-send',
      params,
      body: emptyBody,
      reply: { status: 202, schema: migrationResource },
      problems: ['migration-not-found', 'past-point-of-no-return', 'state-unwritable'],
      handler: async ({ params: { id }, principal }) => ({ body: await outgoings.cancel(id, principal.name) }),
    }),
    ...steeringRoutes(outgoings),
    defineRoute({
      method: 'delete',
      path: '/v1/migrations/:id',
      summary: 'Forgets a finished migration; the outcome record on the destination stays.',
      permission: 'migrate-send',
      params,
      reply: { status: 204 },
      problems: ['migration-not-found', 'migration-live', 'state-unwritable'],
      handler: async ({ params: { id } }) => {
        await outgoings.forget(id);
        replies.forget(id);
        return {};
      },
    }),
  ];
}

/** What changes a migration while its memory is sent. */
function steeringRoutes(outgoings: Outgoings): Route[] {
  return [
    defineRoute({
      method: 'patch',
      path: '/v1/migrations/:id/parameters',
      summary: 'Sets bandwidth, downtime limit and timeouts while it runs (S55).',
      permission: 'migrate-send',
      params,
      body: migrationParameters,
      reply: { status: 200, schema: migrationResource },
      problems: ['migration-not-found', 'not-migrating', 'domain-busy', 'monitor-failed', 'monitor-timeout', 'state-unwritable'],
      handler: async ({ params: { id }, body, principal }) => ({ body: await outgoings.steer(id, body, principal.name) }),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/migrations/:id/force-complete',
      summary: 'Stops the guest, so that the rest of its memory goes over; a rollback runs it again.',
      permission: 'migrate-send',
      params,
      body: forceComplete,
      reply: { status: 202, schema: migrationResource },
      problems: ['migration-not-found', 'not-migrating', 'domain-busy', 'monitor-failed', 'monitor-timeout', 'state-unwritable'],
      handler: async ({ params: { id }, principal }) => ({ body: await outgoings.forceComplete(id, principal.name) }),
    }),
  ];
}

/** A peer-to-peer migration is made by posting it. */
export function migrateRoute(outgoings: Outgoings, drive: PeerToPeer): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/migrations',
    summary: 'Migrates a domain: this agent drives the migration to its end (peer-to-peer).',
    permission: 'migrate-send',
    body: createMigration,
    reply: { status: 202, schema: migrationResource },
    problems: [
      ...beginProblems,
      'same-host',
      'insecure-refused',
      'peer-unreachable',
      'peer-nonsense',
      'peer-protocol',
      'migration-cancelled',
    ],
    handler: async ({ body, principal, signal, tell }) => {
      const outgoing = await outgoings.create(body, principal.name, drive, signal);
      const path = `/v1/migrations/${outgoing.id}`;
      tell({ path, what: `migrate ${outgoing.domain.uuid}` });
      return { body: outgoing.live.value, headers: { location: path } };
    },
  });
}

/** The same question without the migration. */
export function checkRoute(context: SourceContext, domains: Domains, outgoings: Outgoings): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/migrations/check',
    summary: 'Tells all that is in the way of a migration at both hosts, and how it would go, without a trace.',
    permission: 'migrate-send',
    changes: false,
    body: createMigration,
    reply: { status: 200, schema: migrationCheck },
    problems: ['domain-not-found', 'handover-pending'],
    handler: async ({ body }) => ({
      body: await checkMigration(context, outgoings, await domains.ofOrArriving(body.domain), body),
    }),
  });
}
