import { domainName, domainRef, timestamp, uuid } from './common.js';
import { z } from './z.js';

/** One lifecycle event of a domain, as libvirt tells it (virConnectDomainEventRegister), by name and by number. */
export const lifecycleEvent = z
  .object({
    /** Only grows, over restarts of the agent too; not without gaps. Each agent of a host counts for itself. */
    id: z.int().min(1),
    at: timestamp,
    hostName: z.string().min(1),
    domain: z.object({ uuid, name: domainName }),
    event: z.enum(['defined', 'undefined', 'started', 'suspended', 'resumed', 'stopped']),
    detail: z.string().min(1),
    libvirt: z.object({ event: z.int().min(0), detail: z.int().min(0) }),
  })
  .openapi('LifecycleEvent');
export type LifecycleEventDocument = z.output<typeof lifecycleEvent>;

/** GET /v1/events: without `afterId` and without a Last-Event-ID the stream begins with what happens from now on. */
export const eventQuery = z.strictObject({
  afterId: z.coerce.number().int().min(0).max(999_999_999_999_999).optional(),
  domain: domainRef.optional(),
});
