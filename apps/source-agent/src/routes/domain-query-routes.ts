import { blockInfo, blockStats, domainJob, domainRef, domainResource, emptyBody, memoryStats, z } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { defineRoute, type Route } from '@vmferry/service';
import type { Domain } from '../domains/domain.js';
import type { Domains } from '../domains/domains.js';
import { blockInfoOf, blockStatsOf, jobOf, memoryStatsOf } from '../domains/queries.js';
import { controlProblems } from './domain-control-routes.js';

const params = z.strictObject({ domain: domainRef });

/** What an active domain is asked while anything else goes on with it (S9, S25). */
export function domainQueryRoutes(domains: Domains): Route[] {
  const query = <R extends z.ZodType>(
    name: string,
    summary: string,
    schema: R,
    ask: (domain: Domain, principal: string) => Promise<z.input<R>>,
  ) =>
    defineRoute({
      method: 'get',
      path: `/v1/domains/:domain/${name}`,
      summary,
      permission: 'read',
      params,
      reply: { status: 200, schema },
      problems: controlProblems,
      handler: async (ctx) => ({ body: await ask(domains.of(ctx.params.domain), ctx.principal.name) }),
    });
  return [
    query('block-stats', 'What each disk of an active domain has read and written.', blockStats, blockStatsOf),
    query('block-info', 'Capacity, allocation and physical size of each disk of an active domain.', blockInfo, blockInfoOf),
    query('memory-stats', 'What an active domain has of memory, as QEMU and the kernel tell.', memoryStats, memoryStatsOf),
    defineRoute({
      method: 'get',
      path: '/v1/domains/:domain/job',
      summary: 'The async job of the domain, with its progress, and the last one that ended.',
      permission: 'read',
      params,
      reply: { status: 200, schema: domainJob },
      problems: ['domain-not-found'],
      handler: (ctx) => ({ body: jobOf(domains.of(ctx.params.domain)) }),
    }),
  ];
}

/** POST /v1/domains/:domain/job/abort, as virsh's domjobabort: for a migration it is the same as to cancel it. */
export function jobAbortRoute(domains: Domains): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/domains/:domain/job/abort',
    summary: 'Aborts the async job of the domain.',
    permission: 'migrate-send',
    params,
    body: emptyBody,
    reply: { status: 202, schema: domainResource },
    problems: [...controlProblems, 'no-active-job', 'migration-live', 'past-point-of-no-return'],
    handler: async (ctx) => {
      const domain = await domains.ofOrIncoming(ctx.params.domain);
      ctx.tell({ path: `/v1/domains/${domain.uuid}/job/abort` });
      await abortJob(domain, ctx.principal.name);
      return { body: domain.toResource() };
    },
  });
}

async function abortJob(domain: Domain, principal: string): Promise<void> {
  const release = await domain.jobs.begin('abort', principal);
  try {
    if (domain.migration !== null) await domain.migration.cancel(principal);
    else if (domain.fileJob !== null) domain.fileJob.cancel(principal);
    else throw new VmferryError('no-active-job', `The job of domain ${domain.name} has just begun or ended; ask for it again.`);
  } finally {
    await release();
  }
}
