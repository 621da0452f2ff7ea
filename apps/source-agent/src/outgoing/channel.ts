import { parseTcpUri } from '@vmferry/api';
import { openStream, openTcp } from '@vmferry/client';
import type { CookieStream } from '@vmferry/cookie';
import { VmferryError } from '@vmferry/errors';
import { Channel, connectLocalStream, type Guest } from '@vmferry/guest';
import type { SourceContext } from '../context.js';
import { type OutgoingChannel, single } from './outgoing-channel.js';
import { ParallelChannel } from './parallel-channel.js';
import { relayWord } from './relay-word.js';

export interface ChannelTo {
  readonly transport: 'direct' | 'tunnelled';
  readonly migrationId: string;
  readonly stream: CookieStream;
}

const openDeadlineMs = 10_000;

/**
 * Opens the data channel to the destination, as Prepare offered it. Direct: this agent upgrades an HTTP connection itself, or connects to the
 * port that QEMU listens on there.
 */
export async function openChannel(context: SourceContext, guest: Guest, to: ChannelTo): Promise<OutgoingChannel> {
  return to.transport === 'tunnelled'
    ? openTunnel(context, guest, to)
    : single(await openDirect(context, to), guest, () => Promise.resolve(null));
}

/** Ends what was opened at the relay of this host for a migration; one that is over stays listed as it ended. */
export async function abandonStreams({ relay }: SourceContext, migrationId: string): Promise<void> {
  for (const { id, role, migrationId: of, closedAt } of (await relay?.streams())?.streams ?? []) {
    if (of === migrationId && role === 'source' && closedAt === null) await relay?.abortStream(id);
  }
}

async function openDirect(context: SourceContext, { migrationId, stream: { url, ticket } }: ChannelTo): Promise<Channel> {
  if (ticket === null) return connectToQemu(context, url);
  const { socket, head } = await openStream({ url, ticket, migrationId, deadlineMs: openDeadlineMs, clock: context.clock });
  if (head.length > 0) {
    socket.destroy();
    throw new VmferryError('peer-nonsense', 'The destination sent bytes before the migration stream had begun.');
  }
  return Channel.of(socket);
}

/**
 * QEMU could connect by itself, and a cancel would then wait for the kernel's minutes while the other side does not answer: it is given the
 * connected socket, whose channel the agent can shut (qemu-behaviour, rows F and H), to the address that was looked at here (threats, row 6).
 */
async function connectToQemu({ clock }: SourceContext, uri: string): Promise<Channel> {
  const to = parseTcpUri(uri);
  if (typeof to === 'string' || to.port === null) throw new VmferryError('internal', `${uri} is no stream to send to.`);
  return Channel.of(await openTcp({ to: { ...to, port: to.port }, deadlineMs: openDeadlineMs, clock }));
}

/**
 * Tunnelled: the relay of this host opens it, and this agent connects to the relay; 201 means that the peer relay has accepted. Parallel: QEMU
 * makes the connections, to a socket of this agent's own.
 */
async function openTunnel(
  context: SourceContext,
  guest: Guest,
  { migrationId, stream: offered }: ChannelTo,
): Promise<OutgoingChannel> {
  const { relay, clock, host } = context;
  if (relay === null)
    throw new VmferryError('invalid-argument', `The host ${host.hostName} has no tunnel relay (--relay); migrate directly.`);
  const { url, ticket, channels } = offered;
  if (ticket === null) throw new VmferryError('internal', `${url} is no stream of a relay.`);
  const parallel = channels === undefined ? {} : { channels };
  const stream = await relay.createStream({ role: 'source', migrationId, peer: { url, ticket }, ...parallel });
  const sockets = [stream, ...stream.channels].map(({ localSocket }) => localSocket);
  if (!sockets.every((socket) => socket !== null) || sockets.length !== 1 + (channels ?? 0)) {
    throw new VmferryError('peer-nonsense', `The tunnel relay made stream ${stream.id} without its sockets.`);
  }
  const [socket = ''] = sockets;
  const whyBroken = () => relayWord(relay, stream.id, clock);
  if (channels === undefined) {
    const makeSocket = await guest.socketMaker('guest');
    return single(await connectLocalStream(socket, { clock, deadlineMs: openDeadlineMs, makeSocket }), guest, whyBroken);
  }
  return ParallelChannel.open(context, guest, sockets, whyBroken);
}
