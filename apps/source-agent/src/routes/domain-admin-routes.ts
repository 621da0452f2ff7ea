import { attachDomain, domainRef, domainResource, limits, monitorCommand, monitorReply, z } from '@vmferry/api';
import { type ErrorCode, VmferryError } from '@vmferry/errors';
import { defineRoute, type Route } from '@vmferry/service';
import type { Domain } from '../domains/domain.js';
import type { Domains } from '../domains/domains.js';
import { onlyAsks, refuseMonitorCommand } from '../domains/monitor-rules.js';
import { controlProblems } from './domain-control-routes.js';
import { xmlProblems } from './domain-routes.js';

const params = z.strictObject({ domain: domainRef });

const attachProblems: ErrorCode[] = [
  ...xmlProblems,
  'attach-mismatch',
  'device-unsupported',
  'domain-busy',
  'guest-gone',
  'hypervisor-unsupported',
  'in-doubt',
  'lease-busy',
  'lease-unavailable',
  'monitor-failed',
  'monitor-timeout',
  'state-unreadable',
  'system-call-failed',
];

/** What reaches around the definition of a domain, for administrators. */
export function domainAdminRoutes(domains: Domains): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/domains/attach',
      summary: 'Makes a QEMU of this host that something else has started a transient domain.',
      permission: 'admin',
      body: attachDomain,
      reply: { status: 201, schema: domainResource },
      problems: attachProblems,
      handler: async (ctx) => {
        const { xml, ...qemu } = ctx.body;
        ctx.tell({ what: String(qemu.pid) });
        const { uuid } = await domains.attach(xml, qemu, ctx.principal.name);
        return { body: domains.of(uuid).toResource(), headers: { location: `/v1/domains/${uuid}` } };
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/domains/:domain/monitor',
      summary: "Passes one command on to QEMU's monitor, and taints the domain.",
      permission: 'admin',
      params,
      body: monitorCommand,
      bodyBytesMax: limits.monitorCommandBytesMax,
      reply: { status: 200, schema: monitorReply },
      problems: [...controlProblems, 'monitor-command-refused'],
      handler: async (ctx) => {
        const domain = domains.of(ctx.params.domain);
        ctx.tell({ path: `/v1/domains/${domain.uuid}/monitor`, what: ctx.body.execute });
        return { body: { return: await passOn(domain, ctx.body, ctx.principal.name) } };
      },
    }),
  ];
}

async function passOn(
  domain: Domain,
  { execute, arguments: args }: z.output<typeof monitorCommand>,
  principal: string,
): Promise<unknown> {
  refuseMonitorCommand(execute, args);
  domain.activeGuest();
  const release = await domain.jobs.begin(onlyAsks(execute) ? 'query' : 'modify', principal);
  try {
    await domain.taint('custom-monitor');
    const answer = await domain.activeGuest().qmp.executeUntyped(execute, args);
    const bytes = Buffer.byteLength(JSON.stringify(answer));
    if (bytes <= limits.monitorReplyBytesMax) return answer;
    throw new VmferryError(
      'monitor-failed',
      `QEMU answered ${execute} with ${bytes} bytes, and ${limits.monitorReplyBytesMax} is the most that is passed on; ask for less.`,
    );
  } finally {
    await release();
  }
}
