import { eventQuery, lifecycleEvent } from '@vmferry/api';
import { defineRoute, type Route } from '@vmferry/service';
import type { LifecycleEvents } from './lifecycle-events.js';

/** The lifecycle events of an agent; a client that comes back sends Last-Event-ID, which goes before `afterId`. */
export function eventRoutes(events: LifecycleEvents): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/events',
      summary:
        'Lifecycle events of domains as server-sent events: from now on, or behind afterId or Last-Event-ID, at least the last 10000.',
      permission: 'read',
      query: eventQuery,
      reply: { status: 200, schema: lifecycleEvent, contentType: 'text/event-stream' },
      problems: [],
      handler: ({ query: { afterId, domain } }) => ({ sse: domain === undefined ? events : events.of(domain), after: afterId }),
    }),
  ];
}
