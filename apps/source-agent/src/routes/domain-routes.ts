import {
  adoptionReply,
  adoptionRequest,
  createDomain,
  domainList,
  domainRef,
  domainResource,
  domainXmlDocument,
  z,
} from '@vmferry/api';
import { formatDomain, formatForReaders } from '@vmferry/domain';
import type { ErrorCode } from '@vmferry/errors';
import { defineRoute, type Route } from '@vmferry/service';
import type { Adoption } from '../domains/adoption.js';
import type { Domains } from '../domains/domains.js';
import { startProblems } from './domain-control-routes.js';

const params = z.strictObject({ domain: domainRef });
export const xmlProblems: ErrorCode[] = [
  'xml-malformed',
  'xml-forbidden',
  'xml-too-large',
  'definition-invalid',
  'domain-type-unexpected',
  'domain-exists',
  'state-unwritable',
];

/** Domains are defined, created and undefined. */
export function domainRoutes(domains: Domains): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/domains',
      summary: 'Defines a domain, or with transient starts one that is gone when its guest ends.',
      permission: 'operate',
      body: createDomain,
      reply: { status: 201, schema: domainResource },
      problems: [...new Set([...xmlProblems, ...startProblems, 'already-migrating' as const])],
      handler: async (ctx) => {
        const { xml, transient, ...wish } = ctx.body;
        ctx.tell({ what: wish.force ? 'force' : '' });
        const made = transient ? await domains.create(xml, wish, ctx.principal.name) : await domains.define(xml);
        return { body: made.toResource(), headers: { location: `/v1/domains/${made.uuid}` } };
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/domains/:domain',
      summary: 'Removes the configuration; an active guest becomes transient.',
      permission: 'operate',
      params,
      reply: { status: 204 },
      problems: ['domain-not-found', 'already-migrating', 'managed-save-present', 'state-unreadable', 'state-unwritable'],
      handler: async (ctx) => {
        const domain = domains.of(ctx.params.domain);
        ctx.tell({ path: `/v1/domains/${domain.uuid}` });
        await domains.undefine(domain);
        return {};
      },
    }),
  ];
}

/** What can be asked about domains. */
export function domainReadRoutes(domains: Domains): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/domains',
      summary: 'Lists the domains of this host.',
      permission: 'read',
      reply: { status: 200, schema: domainList },
      problems: [],
      handler: () => ({ body: { domains: domains.list().map((domain) => domain.toResource()) } }),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/domains/:domain',
      summary: 'Tells of one domain, by name or uuid.',
      permission: 'read',
      params,
      reply: { status: 200, schema: domainResource },
      problems: ['domain-not-found'],
      handler: (ctx) => ({ body: domains.of(ctx.params.domain).toResource() }),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/domains/:domain/xml',
      summary: 'The live definition of an active domain, or the configuration; without the passwords of its display.',
      permission: 'read',
      params,
      reply: { status: 200, schema: domainXmlDocument },
      problems: ['domain-not-found'],
      handler: (ctx) => ({ body: { xml: formatForReaders(domains.of(ctx.params.domain).definition) } }),
    }),
    defineRoute({
      method: 'get',
      path: '/v1/domains/:domain/secure-xml',
      summary: 'The same with the passwords, for whoever may set them.',
      permission: 'operate',
      params,
      reply: { status: 200, schema: domainXmlDocument },
      problems: ['domain-not-found'],
      handler: (ctx) => ({ body: { xml: formatDomain(domains.of(ctx.params.domain).definition) } }),
    }),
  ];
}

export function adoptionRoute(adoption: Adoption): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/adoptions',
    summary: "A hint of this host's destination-agent: a committed domain waits to be taken over.",
    permission: 'agent',
    body: adoptionRequest,
    reply: { status: 200, schema: adoptionReply },
    problems: ['monitor-failed', 'monitor-timeout', 'state-unwritable'],
    handler: async ({ body }) => ({ body: { adopted: await adoption.adopt(body.uuid, body.migration) } }),
  });
}
