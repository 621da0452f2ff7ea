import { openStream } from '@vmferry/client';
import type { CookieStream } from '@vmferry/cookie';
import { VmferryError } from '@vmferry/errors';
import { Channel, connectLocalStream, type Guest } from '@vmferry/guest';
import type { SourceContext } from '../context.js';
import { type OutgoingChannel, single } from './outgoing-channel.js';
import { ParallelChannel } from './parallel-channel.js';

export interface ChannelTo {
  readonly transport: 'direct' | 'tunnelled';
  readonly migrationId: string;
  readonly stream: CookieStream;
}

const openDeadlineMs = 10_000;

/**
 * Opens the data channel to the destination, as Prepare offered it. Direct: this agent upgrades an HTTP connection itself.
 * Tunnelled: the relay of this host does, and this agent connects to the relay; 201 means that the peer relay has accepted.
 */
export async function openChannel(context: SourceContext, guest: Guest, to: ChannelTo): Promise<OutgoingChannel> {
  return to.transport === 'tunnelled' ? openTunnel(context, guest, to) : single(await openDirect(context, to));
}

async function openDirect({ clock }: SourceContext, { migrationId, stream: { url, ticket } }: ChannelTo): Promise<Channel> {
  const { socket, head } = await openStream({ url, ticket, migrationId, deadlineMs: openDeadlineMs, clock });
  if (head.length > 0) {
    socket.destroy();
    throw new VmferryError('peer-nonsense', 'The destination sent bytes before the migration stream had begun.');
  }
  return Channel.of(socket);
}

async function openTunnel(
  context: SourceContext,
  guest: Guest,
  { migrationId, stream: offered }: ChannelTo,
): Promise<OutgoingChannel> {
  const { relay, clock, host } = context;
  if (relay === null)
    throw new VmferryError('invalid-argument', `The host ${host.hostName} has no tunnel relay; migrate directly.`);
  const { channels, ...peer } = offered;
  const stream = await relay.createStream({ role: 'source', migrationId, peer, ...(channels === undefined ? {} : { channels }) });
  const sockets = [stream, ...stream.channels].map(({ localSocket }) => localSocket);
  if (!sockets.every((socket) => socket !== null) || sockets.length !== 1 + (channels ?? 0)) {
    throw new VmferryError('peer-nonsense', `The tunnel relay made stream ${stream.id} without its sockets.`);
  }
  const [socket = ''] = sockets;
  if (channels === undefined) return single(await connectLocalStream(socket, clock, openDeadlineMs));
  return ParallelChannel.open(context, guest, sockets);
}
