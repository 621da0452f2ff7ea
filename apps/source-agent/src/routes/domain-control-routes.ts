import { domainRef, domainResource, emptyBody, startDomain, z } from '@vmferry/api';
import type { ErrorCode } from '@vmferry/errors';
import { defineRoute, type Route } from '@vmferry/service';
import type { Domain } from '../domains/domain.js';
import type { Domains } from '../domains/domains.js';
import type { Lifecycle } from '../domains/lifecycle.js';

const params = z.strictObject({ domain: domainRef });

export const startProblems: ErrorCode[] = [
  'save-image-invalid',
  'save-image-incomplete',
  'save-failed',
  'image-path-refused',
  'domain-not-found',
  'domain-running',
  'domain-elsewhere',
  'peer-unreachable',
  'port-busy',
  'tls-unavailable',
  'domain-busy',
  'in-doubt',
  'device-unsupported',
  'hypervisor-unsupported',
  'hypervisor-failed',
  'label-failed',
  'network-unavailable',
  'lease-busy',
  'lease-unavailable',
  'monitor-failed',
  'monitor-timeout',
  'too-many-requests',
  'session-not-found',
  'state-unreadable',
  'state-unwritable',
];

export const controlProblems: ErrorCode[] = [
  'domain-not-found',
  'domain-not-running',
  'domain-busy',
  'in-doubt',
  'monitor-failed',
  'monitor-timeout',
  'guest-gone',
  'too-many-requests',
  'state-unwritable',
];

/** What virsh's start, suspend, resume, shutdown and destroy do. */
export function domainControlRoutes(domains: Domains, lifecycle: Lifecycle): Route[] {
  const control = (
    action: string,
    summary: string,
    problems: ErrorCode[],
    act: (domain: Domain, principal: string) => Promise<void>,
  ) =>
    defineRoute({
      method: 'post',
      path: `/v1/domains/:domain/${action}`,
      summary,
      permission: 'operate',
      params,
      body: emptyBody,
      reply: { status: 200, schema: domainResource },
      problems,
      handler: async (ctx) => {
        const domain = domains.of(ctx.params.domain);
        ctx.tell({ path: `/v1/domains/${domain.uuid}/${action}` });
        await act(domain, ctx.principal.name);
        return { body: domain.toResource() };
      },
    });

  return [
    defineRoute({
      method: 'post',
      path: '/v1/domains/:domain/start',
      summary: 'Starts the guest.',
      permission: 'operate',
      params,
      body: startDomain,
      reply: { status: 200, schema: domainResource },
      problems: startProblems,
      handler: async (ctx) => {
        const domain = domains.of(ctx.params.domain);
        ctx.tell({ path: `/v1/domains/${domain.uuid}/start`, what: ctx.body.force ? 'force' : '' });
        await lifecycle.start(domain, ctx.body, ctx.principal.name);
        return { body: domain.toResource() };
      },
    }),
    control('suspend', 'Stops the guest where it is.', controlProblems, (domain, by) => lifecycle.suspend(domain, by)),
    control('resume', 'Lets a paused guest go on.', [...controlProblems, 'lease-busy', 'lease-unavailable'], (domain, by) =>
      lifecycle.resume(domain, by),
    ),
    control('shutdown', 'Asks the guest to shut down; it may take its time, or not do it.', controlProblems, (domain, by) =>
      lifecycle.shutdown(domain, by),
    ),
    control('destroy', 'Ends the guest at once.', [...controlProblems, 'past-point-of-no-return'], (domain, by) =>
      lifecycle.destroy(domain, by),
    ),
  ];
}
