import {
  domainRef,
  domainResource,
  dumpDomain,
  dumped,
  managedSave,
  restoreDomain,
  saveDomain,
  savedImage,
  z,
} from '@vmferry/api';
import type { ErrorCode } from '@vmferry/errors';
import { answerWithin, defineRoute, type Route, StepReplies } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import type { Domain } from '../domains/domain.js';
import type { Domains } from '../domains/domains.js';
import type { Saving } from '../saving/saving.js';
import { controlProblems, startProblems } from './domain-control-routes.js';
import { xmlProblems } from './domain-routes.js';

const params = z.strictObject({ domain: domainRef });
const { id } = saveDomain.shape;
/** Of saves, restores and dumps that are under way or are kept for who asks again. */
const answersMax = 200;

const definitionProblems: ErrorCode[] = [...xmlProblems, 'abi-mismatch', 'device-unsupported', 'invalid-argument'];
const ownSaveProblems: ErrorCode[] = [
  'save-failed',
  'save-cancelled',
  'image-path-refused',
  'hypervisor-unsupported',
  'step-mismatch',
];
const ownRestoreProblems: ErrorCode[] = ['managed-save-present', 'guest-gone', 'step-mismatch'];

const saveProblems = [...new Set<ErrorCode>([...controlProblems, ...definitionProblems, 'label-failed', ...ownSaveProblems])];
const restoreProblems = [...new Set<ErrorCode>([...startProblems, ...definitionProblems, ...ownRestoreProblems])];

/** virsh's save, managedsave, managedsave-remove, restore and dump. What lasts long is joined by who asks again. */
export function savingRoutes(context: SourceContext, domains: Domains, saving: Saving): Route[] {
  const replies = new StepReplies({ entriesMax: answersMax });
  /** Once for each id; without one each request is its own. */
  const once = <A>(step: string, on: string, body: { readonly id?: string | undefined }, act: () => Promise<A>) =>
    replies.take({ id: body.id ?? context.random.uuid(), nonce: on, step }, body, (taken) => {
      taken();
      return act();
    });

  const toFile = <B extends z.ZodType<{ id?: string | undefined }>, R extends z.ZodType>(
    step: string,
    summary: string,
    schemas: { readonly body: B; readonly reply: R },
    act: (domain: Domain, body: z.output<B>, principal: string) => Promise<z.input<R>>,
  ): Route =>
    defineRoute({
      method: 'post',
      path: `/v1/domains/:domain/${step}`,
      summary,
      permission: 'operate',
      params,
      body: schemas.body,
      reply: { status: 200, schema: schemas.reply, orAccepted: true },
      problems: saveProblems,
      handler: (ctx) => {
        const domain = domains.of(ctx.params.domain);
        ctx.tell({ path: `/v1/domains/${domain.uuid}/${step}` });
        const done = once(step, domain.uuid, ctx.body, () => act(domain, ctx.body, ctx.principal.name));
        return answerWithin(ctx, done, `/v1/domains/${domain.uuid}/job`);
      },
    });

  return [
    toFile(
      'save',
      'Saves the guest to a file and ends it here; the job of the domain tells how far it is.',
      { body: saveDomain, reply: savedImage },
      (domain, body, by) => saving.save(domain, body, by),
    ),
    toFile(
      'managed-save',
      'Saves the guest to an image of its own, which the next start of the domain uses.',
      { body: managedSave.extend({ id }), reply: savedImage },
      (domain, body, by) => saving.managedSave(domain, body, by),
    ),
    toFile(
      'dump',
      'Writes the memory of the guest to a file, for whoever looks for a fault in it.',
      { body: dumpDomain, reply: dumped },
      (domain, body, by) => saving.dump(domain, body, by),
    ),
    removeRoute(domains, saving),
    defineRoute({
      method: 'post',
      path: '/v1/restores',
      summary: 'A guest goes on from the file that it was saved to; the file stays.',
      permission: 'operate',
      body: restoreDomain.extend({ id }),
      reply: { status: 200, schema: domainResource, orAccepted: true },
      problems: restoreProblems,
      handler: (ctx) => {
        const restored = once('restore', ctx.body.path, ctx.body, async () =>
          (await saving.restore(ctx.body, ctx.principal.name)).toResource(),
        );
        return answerWithin(ctx, restored, '/v1/domains');
      },
    }),
  ];
}

function removeRoute(domains: Domains, saving: Saving): Route {
  return defineRoute({
    method: 'delete',
    path: '/v1/domains/:domain/managed-save',
    summary: 'Removes the image that the domain has; its next start boots it.',
    permission: 'operate',
    params,
    reply: { status: 204 },
    problems: ['domain-not-found', 'domain-busy', 'too-many-requests', 'state-unwritable'],
    handler: async (ctx) => {
      const domain = domains.of(ctx.params.domain);
      ctx.tell({ path: `/v1/domains/${domain.uuid}/managed-save` });
      await saving.removeManaged(domain, ctx.principal.name);
      return {};
    },
  });
}
