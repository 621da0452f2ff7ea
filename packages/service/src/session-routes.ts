import { createSession, sessionResource, uuid, z } from '@vmferry/api';
import type { Permission } from './permission.js';
import { defineRoute, type Route } from './route.js';
import type { ControlSessions } from './sessions.js';

const params = z.strictObject({ id: uuid });

/** POST /v1/sessions, GET, DELETE and POST .../renew. A session belongs to the principal that made it. */
export function sessionRoutes(sessions: ControlSessions, permission: Permission): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/sessions',
      summary: 'Makes a control session; renew it every third of its TTL.',
      permission,
      body: createSession,
      reply: { status: 201, schema: sessionResource },
      problems: ['too-many-requests'],
      handler({ body, principal }) {
        const session = sessions.create(principal.name, body.ttlSeconds);
        return { body: session, headers: { location: `/v1/sessions/${session.id}` } };
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/sessions/:id',
      summary: 'Tells when a control session expires.',
      permission,
      params,
      reply: { status: 200, schema: sessionResource },
      problems: ['session-not-found'],
      handler: ({ params: { id }, principal }) => ({ body: sessions.read(principal.name, id) }),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/sessions/:id/renew',
      summary: 'Starts the TTL of a control session anew.',
      permission,
      changes: false,
      params,
      reply: { status: 200, schema: sessionResource },
      problems: ['session-not-found'],
      handler: ({ params: { id }, principal }) => ({ body: sessions.renew(principal.name, id) }),
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/sessions/:id',
      summary: 'Ends a control session at once, with all that is tied to it.',
      permission,
      params,
      reply: { status: 204 },
      problems: ['session-not-found'],
      handler({ params: { id }, principal }) {
        sessions.end(principal.name, id);
        return {};
      },
    }),
  ];
}
