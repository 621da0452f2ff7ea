import { finishReply, finishRequest, migrationId, prepareReply, prepareRequest, z } from '@vmferry/api';
import { answerWithin, defineRoute, type Route, StepReplies } from '@vmferry/service';
import type { Incomings } from '../incoming/incomings.js';

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
  'xml-malformed',
  'xml-forbidden',
  'xml-too-large',
  'definition-invalid',
  'domain-type-unexpected',
  'device-unsupported',
  'hypervisor-unsupported',
  'domain-exists',
  'in-doubt',
  'migration-exists',
  'migration-aborted',
  'handover-pending',
  'step-mismatch',
  'too-many-requests',
  'session-not-found',
  'label-failed',
  'hypervisor-failed',
  'stream-failed',
  'lease-busy',
  'lease-unavailable',
  'monitor-failed',
  'monitor-timeout',
  'state-unreadable',
  'state-unwritable',
] as const;

/** The destination's steps of protocol v3. */
export function stepRoutes(incomings: Incomings): Route[] {
  const replies = new StepReplies({ entriesMax: stepsMax });
  const prepareRoute = (step: 'prepare' | 'prepare-tunnel', transport: 'direct' | 'tunnelled') =>
    defineRoute({
      method: 'post',
      path: `/v1/migrations/:id/${step}`,
      summary: `Prepares the destination for a ${transport} stream: its QEMU waits, the record is open.`,
      permission: 'migrate-receive',
      params,
      body: prepareRequest,
      reply: { status: 200, schema: prepareReply, orAccepted: true },
      problems: [...prepareProblems],
      handler: (ctx) => {
        const { id } = ctx.params;
        const taken = replies.take({ id, nonce: ctx.body.nonce, step }, ctx.body, (accepted) =>
          incomings.prepare(id, ctx.body, transport, accepted),
        );
        return answerWithin(ctx, taken, `/v1/migrations/${id}`);
      },
    });

  return [
    prepareRoute('prepare', 'direct'),
    prepareRoute('prepare-tunnel', 'tunnelled'),
    defineRoute({
      method: 'post',
      path: '/v1/migrations/:id/finish',
      summary: 'Runs the guest here, given the permit; or, cancelled, aborts what is not committed by the hold rule.',
      permission: 'migrate-receive',
      params,
      body: finishRequest,
      reply: { status: 200, schema: finishReply, orAccepted: true },
      problems: [
        'flag-unknown',
        'flag-unsupported',
        'cookie-malformed',
        'cookie-too-large',
        'cookie-mismatch',
        'cookie-feature-unsupported',
        'same-host',
        'permit-invalid',
        'persist-failed',
        'migration-aborted',
        'migration-cancelled',
        'migration-undecided',
        'step-mismatch',
        'too-many-requests',
        'stream-failed',
        'stream-silent',
        'session-lost',
        'monitor-failed',
        'monitor-timeout',
        'guest-gone',
        'state-unwritable',
      ],
      handler: (ctx) => {
        const { id } = ctx.params;
        const step = ctx.body.cancelled ? 'finish-cancelled' : 'finish';
        const signal = AbortSignal.timeout(settleMs);
        const taken = replies.take({ id, nonce: ctx.body.nonce, step }, ctx.body, (accepted) =>
          incomings.finish(id, ctx.body, signal, accepted),
        );
        return answerWithin(ctx, taken, `/v1/migrations/${id}`);
      },
    }),
  ];
}
