import { featuresOf } from '@vmferry/agent';
import type { BeginReply, CreateMigration, FinishReply, PerformReply, PrepareReply, VersionReply } from '@vmferry/api';
import { checkSides, type DestinationAgentClient } from '@vmferry/client';
import { VmferryError } from '@vmferry/errors';
import {
  coordinate,
  isOffline,
  type Protocol,
  refuseOfflineIn,
  refuseParallelIn,
  refuseSendingWishes,
  type StepName,
  type Steps,
  stepArguments,
} from '@vmferry/migration';
import type { SourceContext } from '../context.js';
import type { Outgoing } from './outgoing.js';
import { beginReplyOf } from './outgoing-journal.js';
import { RenewedSession } from './renewed-session.js';

/** Where a migration goes, as its caller says it: the management URL, and how the stream is to get there (S32). */
type Destination = Pick<CreateMigration, 'destination' | 'uri' | 'listenAddress'>;

/** The two parts of driving a migration from here, so that the session is being opened while Begin is journalled. */
export interface PeerToPeer {
  openSession(destinationAgent: string): RenewedSession;
  /** Drives a migration that was begun, in the background, to its end; that of the session too. */
  drive(outgoing: Outgoing, to: Destination, session: RenewedSession): void;
}

/** Confirm's own wait; the source agent goes on asking after it. */
const confirmWaitMs = 60_000;
const finishWaitMs = 120_000;

/**
 * What can be known of a destination before anything happens: that it answers, which protocol it makes of this migration (S20), that it is
 * not this very host (S46), and that its stream is not a stranger's. Throws `peer-unreachable`, `peer-nonsense`, `peer-protocol`,
 * `same-host`, `forbidden`; `invalid-argument` for an offline migration that is told how its stream is to go.
 */
export async function refuseBadDestination(
  context: SourceContext,
  { destination: url, uri, listenAddress, flags = [] }: CreateMigration,
): Promise<{ version: VersionReply; protocol: Protocol }> {
  if (isOffline(flags)) refuseSendingWishes({ uri, listenAddress });
  if (uri !== undefined) context.peers.refuseForeignStream(uri, url);
  const version = await context.destinationAgent(url).version();
  const { host, protocols } = context;
  const protocol = checkSides({ app: 'source-agent', protocols: [...protocols.offered], ...host }, version);
  refuseOfflineIn(protocol, flags);
  refuseParallelIn(protocol, flags);
  return { version, protocol };
}

/** What this agent tells of its own host, as the other side hears it. */
export function ownFeatures(context: SourceContext): Pick<VersionReply, 'hostName' | 'features'> {
  return { hostName: context.host.hostName, features: featuresOf(context) };
}

/** Peer-to-peer: this agent takes the steps of both sides, with the same coordinator that a managing client has (S41). */
export function peerToPeer(context: SourceContext): PeerToPeer {
  return {
    openSession: (url) =>
      new RenewedSession(context.clock, context.destinationAgent(url), context.sessionTtlSeconds, context.log),
    drive: (outgoing, to, session) => {
      drive(context, outgoing, to, session).catch((error: unknown) =>
        outgoing.log.error('the driver of the migration failed; its agents settle it by the record', { error }),
      );
    },
  };
}

async function drive(context: SourceContext, outgoing: Outgoing, to: Destination, session: RenewedSession): Promise<void> {
  try {
    const steps = peerSteps(context, outgoing, to, session);
    const entered = (step: StepName) =>
      outgoing.live.enter(step, step === 'prepare' || step === 'finish' ? 'destination' : 'source');
    await coordinate(steps, () => context.clock.wall(), entered);
  } finally {
    await session.end();
  }
}

function peerSteps(
  context: SourceContext,
  outgoing: Outgoing,
  { destination, uri, listenAddress }: Destination,
  session: RenewedSession,
): Steps<BeginReply, PrepareReply, PerformReply, FinishReply> {
  const { id } = outgoing;
  const { protocol, transport, bandwidthBytesPerSec, domain, parallelConnections } = outgoing.journal;
  const agent = destinationSteps(context.destinationAgent(destination), protocol, transport);
  const { nonce } = outgoing.key;
  let finishedWithPermit = false;
  // The resource shows the first error as soon as it is known, not when the coordinator is done.
  const noting = async <T>(act: Promise<T>): Promise<T> => {
    try {
      return await act;
    } catch (thrown) {
      outgoing.noteError(VmferryError.from(thrown));
      throw thrown;
    }
  };
  return {
    begin: () => Promise.resolve(beginReplyOf(outgoing.journal)),
    prepare: async (begun) => {
      // The destination is prepared once for both: a control session and the step itself.
      const body = {
        nonce,
        cookie: begun.cookie,
        flags: begun.flags.filter((flag) => flag !== 'CHANGE_PROTECTION'),
        destinationName: domain.destinationName,
        xml: begun.xml,
        ...(uri === undefined ? {} : { uri }),
        ...(listenAddress === undefined ? {} : { listenAddress }),
        ...(parallelConnections === null ? {} : { parallelConnections }),
        session: await noting(session.opened),
        ...(bandwidthBytesPerSec === null
          ? {}
          : { bandwidthMibPerSec: Math.max(1, Math.round(bandwidthBytesPerSec / 1_048_576)) }),
      };
      await context.faults('S4');
      const reply = await noting(agent.prepare(id, body));
      await context.faults('S5');
      return reply;
    },
    perform: async (begun, prepared) => {
      const stream = prepared.uri === null ? {} : { uri: prepared.uri };
      const body = { nonce, cookie: prepared.cookie, flags: begun.flags, ...stream };
      outgoing.log.info('perform', stepArguments(body));
      const reply = await noting(Promise.resolve().then(() => outgoing.perform(outgoing.acceptPerform(body))));
      await context.faults('S15');
      return reply;
    },
    finish: async (begun, performed) => {
      await context.faults('S16');
      const body = { nonce, cookie: performed?.cookie ?? '', flags: begun.flags, cancelled: performed === null };
      finishedWithPermit = performed !== null;
      const reply = await noting(agent.finish(id, body, { signal: AbortSignal.timeout(finishWaitMs) }));
      outgoing.noteResumed(reply);
      await context.faults('S17');
      return reply;
    },
    confirm: async (begun, finished) => {
      const { outcome, cookie = '' } = finished ?? {};
      const body = { nonce, cookie, flags: begun.flags, cancelled: outcome !== 'committed' };
      outgoing.log.info('confirm', stepArguments(body));
      await outgoing.confirm(AbortSignal.timeout(confirmWaitMs), finishedWithPermit && outcome === 'committed');
      return outgoing.live.value.outcome ?? 'pending';
    },
  };
}

/** The destination's two steps in either protocol and transport (S42): v2's have no cookie in, for the agents exchange what is in it. */
function destinationSteps(
  agent: DestinationAgentClient,
  protocol: Protocol,
  transport: 'direct' | 'tunnelled',
): Pick<DestinationAgentClient, 'prepare' | 'finish'> {
  if (protocol === 'v3') {
    return {
      prepare: (id, body) => (transport === 'tunnelled' ? agent.prepareTunnel(id, body) : agent.prepare(id, body)),
      finish: (id, body, options) => agent.finish(id, body, options),
    };
  }
  return {
    prepare: (id, { cookie: _, ...body }) =>
      transport === 'tunnelled' ? agent.prepareTunnel2(id, body) : agent.prepare2(id, body),
    finish: (id, { cookie: _, ...body }, options) => agent.finish2(id, body, options),
  };
}
