import { type PrepareReply, reachedBy } from '@vmferry/api';
import { cookieToBase64, encodeCookie, type MigrationCookie } from '@vmferry/cookie';
import { formatDomain } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import { auditedOf, type DisplayPlace, type PlacedDisplay, startGuest } from '@vmferry/guest';
import { enableMigrationCapabilities, setMigrationTls } from '@vmferry/hypervisor';
import { isOffline } from '@vmferry/migration';
import { bodyDigest } from '@vmferry/service';
import type { DestinationContext } from '../context.js';
import { Incoming } from './incoming.js';
import type { IncomingJournal } from './incoming-journal.js';
import { answerOffline } from './offline.js';
import { type AcceptedPrepare, acceptPrepare, type PrepareBody, type PrepareStep } from './prepare-request.js';
import { IncomingStream, type StreamOffer } from './stream.js';

/**
 * Prepare and PrepareTunnel of both protocols (S8, S42: one way for all). In order: everything is checked, the record is written `open`, QEMU is started
 * paused with `-incoming defer`, the stream is offered. When a later part fails, the record becomes `aborted` before the error is told. Offline
 * there is neither QEMU nor stream: the open record is all.
 */
export async function prepare(
  context: DestinationContext,
  id: string,
  body: PrepareBody,
  step: PrepareStep,
  admit: (incoming: Incoming) => Promise<void>,
): Promise<PrepareReply> {
  await context.faults('D0');
  const accepted = await acceptPrepare(context, id, body, step);
  await context.faults('D1');
  const journal = await openRecord(context, accepted, body, step);
  const incoming = new Incoming(context, journal);
  await admit(incoming);
  await context.faults('D2');
  try {
    if (accepted.session !== null) incoming.tie(accepted.session);
    const reply = await incoming.starting(
      incoming.offline ? wait(context, accepted, incoming) : placed(context, accepted, incoming, step.transport),
    );
    await context.faults('D9');
    return reply;
  } catch (thrown) {
    const error = VmferryError.from(thrown).at({ side: 'destination', phase: 'prepare' });
    const also = (later: unknown) => error.suppress(later, context.clock.wall());
    const audited = auditedOf(accepted.definition, undefined, context.guestHost.security);
    if (!incoming.offline) await context.auditor.startFailed(audited, 'migrated').catch(also);
    await incoming.failPrepare(error).catch(also);
    throw error;
  }
}

async function openRecord(
  context: DestinationContext,
  accepted: AcceptedPrepare,
  body: PrepareBody,
  step: PrepareStep,
): Promise<IncomingJournal> {
  const { key, binding, flags, definition } = accepted;
  const configured = (await context.configs.read(definition.uuid)) !== null;
  const journal: IncomingJournal = {
    version: 1,
    record: {
      version: 1,
      key,
      decision: 'open',
      ...binding,
      // A definition that comes in offline is committed the way a paused guest is: nobody runs it.
      mode: flags.has('PAUSED') || isOffline(flags) ? 'paused' : 'run',
      reason: null,
    },
    createdAt: context.clock.wall().toISOString(),
    protocol: step.protocol,
    domain: {
      uuid: definition.uuid,
      name: definition.name,
      sourceName: accepted.sourceName,
      xml: formatDomain(definition),
      persist: flags.has('PERSIST_DEST') || configured,
    },
    configBefore: null,
    transport: step.transport,
    driver: flags.has('PEER2PEER') ? 'peer-to-peer' : 'managed',
    flags: [...flags],
    prepareAnswer: null,
    prepareDigest: bodyDigest({ ...body, ...step }),
    concluded: false,
    acknowledged: false,
    finishedAt: null,
  };
  return journal;
}

/** Offline: what Prepare answers is journalled, and the time for Finish runs. */
async function wait(context: DestinationContext, accepted: AcceptedPrepare, incoming: Incoming): Promise<PrepareReply> {
  const reply = await answerOffline(context, accepted, (answer) => incoming.keepAnswer(answer));
  incoming.armOffline();
  return reply;
}

/** The display has its ports before QEMU starts and before Prepare's answer is journalled, which tells of them. */
async function placed(
  context: DestinationContext,
  accepted: AcceptedPrepare,
  incoming: Incoming,
  transport: 'direct' | 'tunnelled',
): Promise<PrepareReply> {
  const display = await context.guestHost.displays.place(accepted.definition);
  try {
    return await start(context, accepted, incoming, transport, display);
  } finally {
    display.close();
  }
}

/**
 * Everything that can be done while QEMU starts is done then: the stream is offered, and what Prepare is going to answer is
 * journalled. It is answered only when QEMU waits for the stream.
 */
async function start(
  context: DestinationContext,
  accepted: AcceptedPrepare,
  incoming: Incoming,
  transport: 'direct' | 'tunnelled',
  display: PlacedDisplay,
): Promise<PrepareReply> {
  const { key } = accepted;
  const [guest, offered] = await Promise.allSettled([
    startGuest(context.guestHost, {
      placed: display,
      incoming: true,
      persistent: incoming.journal.domain?.persist ?? false,
      state: { state: 'paused', reason: 'migration' },
      migration: { ...key, role: 'destination' },
    }),
    offer(context, accepted, incoming, transport, display.place),
  ]);
  // What there is belongs to the migration, so that it is given back with it, also when the other part has failed.
  if (guest.status === 'fulfilled') incoming.own(guest.value);
  if (offered.status === 'fulfilled') incoming.arm(offered.value.stream);
  if (guest.status === 'rejected') throw guest.reason;
  if (offered.status === 'rejected') throw offered.reason;
  incoming.refuseIfDecided();
  await enableMigrationCapabilities(guest.value.qmp, accepted.channels);
  if (accepted.tls !== null) await setMigrationTls(guest.value.qmp, accepted.tls);
  const { stream } = offered.value;
  const { url } = stream.offer;
  await stream.connect(guest.value, (detail) => incoming.streamLost(detail));
  const reply =
    stream.offer.url === url ? offered.value.reply : await answer(context, accepted, incoming, stream.offer, display.place);
  if (transport === 'tunnelled') await context.faults('D10');
  await context.faults('D3');
  incoming.refuseIfDecided();
  const audited = auditedOf(guest.value.definition, guest.value.status.process.pid, context.guestHost.security);
  await context.auditor.domainStart(audited, 'migrated', true);
  incoming.events.started();
  await context.faults('D8');
  return reply;
}

async function offer(
  context: DestinationContext,
  accepted: AcceptedPrepare,
  incoming: Incoming,
  transport: 'direct' | 'tunnelled',
  display: DisplayPlace | null,
): Promise<{ stream: IncomingStream; reply: PrepareReply }> {
  const { key, tcp, uri, channels } = accepted;
  const stream = await (transport === 'tunnelled'
    ? IncomingStream.tunnelled(context, key.id, channels)
    : tcp === null
      ? IncomingStream.direct(context, key.id)
      : IncomingStream.listening(context, tcp));
  const named = uri === null || tcp !== null ? stream.offer : { ...stream.offer, url: reachedBy(stream.offer.url, uri) };
  try {
    return { stream, reply: await answer(context, accepted, incoming, named, display) };
  } catch (thrown) {
    await stream.close();
    throw thrown;
  }
}

/** What Prepare is going to answer, journalled. */
async function answer(
  context: DestinationContext,
  accepted: AcceptedPrepare,
  incoming: Incoming,
  stream: StreamOffer,
  display: DisplayPlace | null,
): Promise<PrepareReply> {
  const cookie = cookieToBase64(encodeCookie(cookieOf(context, accepted, stream, display)));
  const reply = { cookie, uri: accepted.flags.has('TUNNELLED') ? null : stream.url };
  await incoming.keepAnswer(reply);
  return reply;
}

/** Prepare bakes the graphics of the target (S45) and tells where the record and the stream are. */
function cookieOf(
  context: DestinationContext,
  { key, sourceName, definition }: AcceptedPrepare,
  stream: StreamOffer,
  display: DisplayPlace | null,
): MigrationCookie {
  return {
    name: sourceName,
    uuid: definition.uuid,
    hostName: context.host.hostName,
    hostUuid: context.host.hostUuid,
    features: [],
    ...(display === null ? {} : { graphics: display }),
    vmferry: {
      migrationId: key.id,
      nonce: key.nonce,
      peer: { role: 'destination', url: context.publicUrl(), storeId: context.host.storeId },
      stream,
    },
  };
}
