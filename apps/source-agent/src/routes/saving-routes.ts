import { domainRef, domainResource, dumpDomain, dumped, managedSave, restoreDomain, saveDomain, savedImage, z } from '@vmferry/api';
import type { ErrorCode } from '@vmferry/errors';
import { answerWithin, defineRoute, type Route, type StepReplies } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import type { Domains } from '../domains/domains.js';
import type { Saving } from '../saving/saving.js';
import { controlProblems, startProblems } from './domain-control-routes.js';
import { xmlProblems } from './domain-routes.js';

const params = z.strictObject({ domain: domainRef });

const definitionProblems: ErrorCode[] = [...xmlProblems, 'abi-mismatch', 'device-unsupported', 'invalid-argument'];

const saveProblems: ErrorCode[] = [
  ...new Set([
    ...controlProblems,
    ...definitionProblems,
    'save-failed' as const,
    'save-cancelled' as const,
    'image-path-refused' as const,
    'hypervisor-unsupported' as const,
    'label-failed' as const,
    'step-mismatch' as const,
  ]),
];

const restoreProblems: ErrorCode[] = [
  ...new Set([
    ...startProblems,
    ...definitionProblems,
    'managed-save-present' as const,
    'image-path-refused' as const,
    'save-image-invalid' as const,
    'save-image-incomplete' as const,
    'save-failed' as const,
    'guest-gone' as const,
    'step-mismatch' as const,
  ]),
];

/** virsh's save, managedsave, managedsave-remove and restore. What lasts long is joined by who asks again. */
export function savingRoutes(context: SourceContext, domains: Domains, saving: Saving, replies: StepReplies): Route[] {
  /** Once for each id; without one each request is its own. */
  const once = <B extends { readonly id?: string | undefined }, A>(step: string, domain: string, body: B, act: (taken: () => void) => Promise<A>) =>
    replies.take({ id: body.id ?? context.random.uuid(), nonce: domain, step }, body, act);

  return [
    defineRoute({
      method: 'post',
      path: '/v1/domains/:domain/save',
      summary: 'Saves the guest to a file and ends it here; the job of the domain tells how far it is.',
      permission: 'operate',
      params,
      body: saveDomain,
      reply: { status: 200, schema: savedImage, orAccepted: true },
      problems: saveProblems,
      handler: (ctx) => {
        const domain = domains.of(ctx.params.domain);
        const saved = once('save', domain.uuid, ctx.body, async (taken) => {
          taken();
          return saving.save(domain, ctx.body, ctx.principal.name);
        });
        return answerWithin(ctx, saved, `/v1/domains/${domain.uuid}/job`);
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/domains/:domain/managed-save',
      summary: 'Saves the guest to an image of its own, which the next start of the domain uses.',
      permission: 'operate',
      params,
      body: managedSave.extend({ id: saveDomain.shape.id }),
      reply: { status: 200, schema: savedImage, orAccepted: true },
      problems: saveProblems,
      handler: (ctx) => {
        const domain = domains.of(ctx.params.domain);
        const { id: _, ...wish } = ctx.body;
        const saved = once('managed-save', domain.uuid, ctx.body, async (taken) => {
          taken();
          return saving.managedSave(domain, wish, ctx.principal.name);
        });
        return answerWithin(ctx, saved, `/v1/domains/${domain.uuid}/job`);
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/domains/:domain/dump',
      summary: 'Writes the memory of the guest to a file, for whoever looks for a fault in it.',
      permission: 'operate',
      params,
      body: dumpDomain,
      reply: { status: 200, schema: dumped, orAccepted: true },
      problems: saveProblems,
      handler: (ctx) => {
        const domain = domains.of(ctx.params.domain);
        const done = once('dump', domain.uuid, ctx.body, async (taken) => {
          taken();
          return saving.dump(domain, ctx.body, ctx.principal.name);
        });
        return answerWithin(ctx, done, `/v1/domains/${domain.uuid}/job`);
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/domains/:domain/managed-save',
      summary: 'Removes the image that the domain has; its next start boots it.',
      permission: 'operate',
      params,
      reply: { status: 204 },
      problems: ['domain-not-found', 'domain-busy', 'too-many-requests', 'state-unwritable'],
      handler: async (ctx) => {
        const domain = domains.of(ctx.params.domain);
        await saving.removeManaged(domain, ctx.principal.name);
        return {};
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/restores',
      summary: 'A guest goes on from the file that it was saved to; the file stays.',
      permission: 'operate',
      body: restoreDomain.extend({ id: saveDomain.shape.id }),
      reply: { status: 200, schema: domainResource, orAccepted: true },
      problems: restoreProblems,
      handler: (ctx) => {
        const { id: _, ...wish } = ctx.body;
        const restored = once('restore', wish.path, ctx.body, async (taken) => {
          taken();
          return (await saving.restore(wish, ctx.principal.name)).toResource();
        });
        return answerWithin(ctx, restored, '/v1/domains');
      },
    }),
  ];
}
