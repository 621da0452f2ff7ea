import {
  finish2Request,
  finishReply,
  finishRequest,
  migrationId,
  prepare2Request,
  prepareReply,
  prepareRequest,
  z,
} from '@vmferry/api';
import { answerWithin, defineRoute, type Route, StepReplies } from '@vmferry/service';
import type { DestinationContext } from '../context.js';
import type { FinishBody, Incomings } from '../incoming/incomings.js';
import type { PrepareBody, PrepareStep } from '../incoming/prepare-request.js';

const params = z.strictObject({ id: migrationId });
const stepsMax = 2_000;
/** How long a step waits for the record when its caller does not say; the hold rule may take as long as the source is silent. */
const settleMs = 20_000;

const prepareProblems = [
  'cookie-malformed',
  'cookie-too-large',
  'cookie-mismatch',
  'cookie-feature-unsupported',
  'lock-driver-mismatch',
  'same-host',
  'flag-unknown',
  'flag-unsupported',
  'tls-unavailable',
  'insecure-refused',
  'port-busy',
  'xml-malformed',
  'xml-forbidden',
  'xml-too-large',
  'definition-invalid',
  'domain-type-unexpected',
  'device-unsupported',
  'hypervisor-unsupported',
  'domain-exists',
  'domain-elsewhere',
  'in-doubt',
  'migration-exists',
  'migration-aborted',
  'handover-pending',
  'step-mismatch',
  'too-many-requests',
  'peer-protocol',
  'session-not-found',
  'label-failed',
  'network-unavailable',
  'hypervisor-failed',
  'stream-failed',
  'peer-unreachable',
  'peer-nonsense',
  'certificate-refused',
  'lease-busy',
  'lease-unavailable',
  'monitor-failed',
  'monitor-timeout',
  'state-unreadable',
  'state-unwritable',
] as const;

const finishProblems = [
  'flag-unknown',
  'flag-unsupported',
  'cookie-malformed',
  'cookie-too-large',
  'cookie-mismatch',
  'cookie-feature-unsupported',
  'same-host',
  'permit-invalid',
  'persist-failed',
  'network-unavailable',
  // Of an offline migration, whose domain may have come to be in the way since Prepare.
  'domain-exists',
  'in-doubt',
  'handover-pending',
  'migration-aborted',
  'migration-cancelled',
  'migration-undecided',
  'step-mismatch',
  'too-many-requests',
  'stream-failed',
  'stream-silent',
  'session-lost',
  'migration-timeout',
  'monitor-failed',
  'monitor-timeout',
  'guest-gone',
  'peer-protocol',
  'state-unreadable',
  'state-unwritable',
] as const;

/** The destination's steps of both protocols. One that is not offered is refused before anything else of it is looked at. */
export function stepRoutes({ protocols }: DestinationContext, incomings: Incomings): Route[] {
  const replies = new StepReplies({ entriesMax: stepsMax });
  const prepareRoute = <B extends z.ZodType<PrepareBody>>(name: string, step: PrepareStep, body: B) =>
    defineRoute({
      method: 'post',
      path: `/v1/migrations/:id/${name}`,
      summary: `Prepares the destination for a ${step.transport} stream, ${step.protocol}: its QEMU waits, the record is open.`,
      permission: 'migrate-receive',
      params,
      body,
      reply: { status: 200, schema: prepareReply, orAccepted: true },
      problems: [...prepareProblems],
      handler: (ctx) => {
        protocols.refuseUnless(step.protocol);
        const { id } = ctx.params;
        const taken = replies.take({ id, nonce: ctx.body.nonce, step: name }, ctx.body, (accepted) =>
          incomings.prepare(id, ctx.body, step, accepted),
        );
        return answerWithin(ctx, taken, `/v1/migrations/${id}`);
      },
    });

  const finishRoute = <B extends z.ZodType<FinishBody>>(name: string, protocol: PrepareStep['protocol'], body: B) =>
    defineRoute({
      method: 'post',
      path: `/v1/migrations/:id/${name}`,
      summary:
        protocol === 'v3'
          ? 'Runs the guest here, given the permit; or, cancelled, aborts what is not committed by the hold rule.'
          : 'Finish of v2: the same, with the permit that the source agent gives when this one asks.',
      permission: 'migrate-receive',
      params,
      body,
      reply: { status: 200, schema: finishReply, orAccepted: true },
      problems: [...finishProblems, ...(protocol === 'v3' ? [] : (['peer-unreachable', 'peer-nonsense'] as const))],
      handler: (ctx) => {
        protocols.refuseUnless(protocol);
        const { id } = ctx.params;
        const step = ctx.body.cancelled ? `${name}-cancelled` : name;
        const signal = AbortSignal.timeout(settleMs);
        const taken = replies.take({ id, nonce: ctx.body.nonce, step }, ctx.body, (accepted) =>
          incomings.finish(id, ctx.body, protocol, signal, accepted),
        );
        return answerWithin(ctx, taken, `/v1/migrations/${id}`);
      },
    });

  return [
    prepareRoute('prepare', { protocol: 'v3', transport: 'direct' }, prepareRequest),
    prepareRoute('prepare-tunnel', { protocol: 'v3', transport: 'tunnelled' }, prepareRequest),
    prepareRoute('prepare2', { protocol: 'v2', transport: 'direct' }, prepare2Request),
    prepareRoute('prepare-tunnel2', { protocol: 'v2', transport: 'tunnelled' }, prepare2Request),
    finishRoute('finish', 'v3', finishRequest),
    finishRoute('finish2', 'v2', finish2Request),
  ];
}
