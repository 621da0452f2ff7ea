import { domainRef, domainResource, emptyBody, startDomain, z } from '@vmferry/api';
import { type ErrorCode, VmferryError } from '@vmferry/errors';
import { defineRoute, type Route, type RouteContext } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import type { Domain } from '../domains/domain.js';
import type { Domains } from '../domains/domains.js';
import type { Lifecycle } from '../domains/lifecycle.js';

const params = z.strictObject({ domain: domainRef });

export const startProblems: ErrorCode[] = [
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

/** Audits what a caller has changed, or could not change, with principal and request id; `what` tells more of it than its path. */
export function auditedActs(context: SourceContext) {
  return async (
    ctx: Pick<RouteContext, 'principal' | 'requestId'>,
    method: string,
    path: string,
    act: () => Promise<void>,
    what = '',
  ) => {
    const facts = { principal: ctx.principal.name, requestId: ctx.requestId, method, path };
    const outcome = (code: string) => (what === '' ? code : `${code}:${what}`);
    try {
      await act();
    } catch (thrown) {
      const error = VmferryError.from(thrown);
      const failed = context.auditor.api({ ...facts, outcome: outcome(error.code), success: false });
      await failed.catch((later: unknown) => error.suppress(later, context.clock.wall()));
      throw error;
    }
    await context.auditor.api({ ...facts, outcome: outcome('ok'), success: true });
  };
}

/** What virsh's start, suspend, resume, shutdown and destroy do. */
export function domainControlRoutes(context: SourceContext, domains: Domains, lifecycle: Lifecycle): Route[] {
  const audited = auditedActs(context);
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
        await audited(ctx, 'POST', `/v1/domains/${domain.uuid}/${action}`, () => act(domain, ctx.principal.name));
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
        const start = () => lifecycle.start(domain, ctx.body, ctx.principal.name);
        await audited(ctx, 'POST', `/v1/domains/${domain.uuid}/start`, start, ctx.body.force ? 'force' : '');
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
