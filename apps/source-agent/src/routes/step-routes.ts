import {
  beginReply,
  beginRequest,
  confirmReply,
  confirmRequest,
  evidenceReply,
  evidenceRequest,
  migrationId,
  perform2Reply,
  perform2Request,
  performReply,
  performRequest,
  permitReply,
  permitRequest,
  z,
} from '@vmferry/api';
import type { ErrorCode } from '@vmferry/errors';
import { answerWithin, defineRoute, type Route, type StepReplies } from '@vmferry/service';
import type { SourceContext } from '../context.js';
import type { Outgoings } from '../outgoing/outgoings.js';

const params = z.strictObject({ id: migrationId });
const confirmWaitMs = 60_000;

export const beginProblems: ErrorCode[] = [
  'domain-not-found',
  'domain-not-running',
  'domain-running',
  'domain-busy',
  'already-migrating',
  'in-doubt',
  'domain-autodestroy',
  'migration-exists',
  'flag-unknown',
  'flag-unsupported',
  'tls-unavailable',
  'invalid-argument',
  'device-unsupported',
  'abi-mismatch',
  'xml-malformed',
  'xml-forbidden',
  'xml-too-large',
  'definition-invalid',
  'domain-type-unexpected',
  'session-not-found',
  'handover-pending',
  'too-many-requests',
  'lease-unavailable',
  'step-mismatch',
  'state-unreadable',
  'state-unwritable',
];

/** Of a step that takes flags and the cookie of the step before it. */
const cookieProblems: ErrorCode[] = [
  'flag-unknown',
  'flag-unsupported',
  'cookie-malformed',
  'cookie-too-large',
  'cookie-mismatch',
  'cookie-feature-unsupported',
  'same-host',
];

const performProblems: ErrorCode[] = [
  'migration-not-found',
  'not-migrating',
  'domain-busy',
  'domain-not-running',
  'too-many-requests',
  'step-mismatch',
  ...cookieProblems,
  'peer-protocol',
  'migration-aborted',
  'migration-cancelled',
  'migration-timeout',
  'migration-failed',
  'peer-unreachable',
  'peer-nonsense',
  'ticket-invalid',
  'certificate-refused',
  'tls-unavailable',
  'stream-failed',
  'guest-gone',
  'monitor-failed',
  'monitor-timeout',
  'state-unreadable',
  'state-unwritable',
];

/** Begin of a managed migration. It makes the nonce, so it is known by its id alone. */
function beginRoute(outgoings: Outgoings, replies: StepReplies): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/migrations/:id/begin',
    summary: 'Begin: checks that the domain can leave, and gives the cookie and the XML for Prepare.',
    permission: 'migrate-send',
    params,
    body: beginRequest,
    reply: { status: 200, schema: beginReply, orAccepted: true },
    problems: beginProblems,
    handler: (ctx) => {
      const { id } = ctx.params;
      return answerWithin(
        ctx,
        replies.take({ id, nonce: null, step: 'begin' }, ctx.body, () => outgoings.begin(id, ctx.body, ctx.principal.name)),
        `/v1/migrations/${id}`,
      );
    },
  });
}

/** Perform of v2, which is all that a driver of v2 asks of the source. */
function perform2Route({ protocols }: SourceContext, outgoings: Outgoings, replies: StepReplies): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/migrations/:id/perform2',
    summary:
      'Perform of v2: what Begin does is inside; answers when the memory is over. The source then reads the record by itself.',
    permission: 'migrate-send',
    params,
    body: perform2Request,
    reply: { status: 200, schema: perform2Reply, orAccepted: true },
    problems: [...new Set([...beginProblems, ...performProblems])],
    handler: (ctx) => {
      protocols.refuseUnless('v2');
      const { id } = ctx.params;
      const key = { id, nonce: ctx.body.nonce, step: 'perform2' };
      return answerWithin(
        ctx,
        replies.take(key, ctx.body, (taken) => outgoings.perform2(id, ctx.body, ctx.principal.name, taken)),
        `/v1/migrations/${id}`,
      );
    },
  });
}

/** The source's steps of both protocols. */
export function stepRoutes(context: SourceContext, outgoings: Outgoings, replies: StepReplies): Route[] {
  return [
    beginRoute(outgoings, replies),
    perform2Route(context, outgoings, replies),
    defineRoute({
      method: 'post',
      path: '/v1/migrations/:id/perform',
      summary: 'Perform: sends the memory; answers with the permit when QEMU has completed.',
      permission: 'migrate-send',
      params,
      body: performRequest,
      reply: { status: 200, schema: performReply, orAccepted: true },
      problems: performProblems,
      handler: (ctx) => {
        const { id } = ctx.params;
        const key = { id, nonce: ctx.body.nonce, step: 'perform' };
        return answerWithin(
          ctx,
          replies.take(key, ctx.body, (taken) => outgoings.perform(id, ctx.body, ctx.principal.name, taken)),
          `/v1/migrations/${id}`,
        );
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/migrations/:id/confirm',
      summary: "Confirm: reads the destination's record and acts on it, whatever the flag says.",
      permission: 'migrate-send',
      params,
      body: confirmRequest,
      reply: { status: 200, schema: confirmReply, orAccepted: true },
      problems: ['migration-not-found', 'step-mismatch', 'peer-protocol', ...cookieProblems, 'state-unwritable'],
      handler: (ctx) => {
        const { id } = ctx.params;
        return answerWithin(ctx, outgoings.confirm(id, ctx.body, AbortSignal.timeout(confirmWaitMs)), `/v1/migrations/${id}`);
      },
    }),
  ];
}

/** What a destination-agent asks: the hold rule's question, and Finish2's. */
export function questionRoutes(outgoings: Outgoings): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/migrations/:id/evidence',
      summary: "The hold rule's question: what has this host of the guest?",
      permission: 'agent',
      changes: false,
      params,
      body: evidenceRequest,
      reply: { status: 200, schema: evidenceReply },
      problems: [],
      handler: ({ params: { id }, body }) => ({ body: outgoings.evidence(id, body) }),
    }),
    defineRoute({
      method: 'post',
      path: '/v1/migrations/:id/permit',
      summary: "Protocol v2: the permit for Finish, from the moment that it is journalled until the record's decision was read.",
      permission: 'agent',
      changes: false,
      params,
      body: permitRequest,
      reply: { status: 200, schema: permitReply },
      problems: [],
      handler: ({ params: { id }, body }) => ({ body: outgoings.permit(id, body) }),
    }),
  ];
}
