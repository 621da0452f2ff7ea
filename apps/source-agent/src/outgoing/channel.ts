import { openStream } from '@vmferry/client';
import { VmferryError } from '@vmferry/errors';
import { Channel, connectLocalStream } from '@vmferry/guest';
import type { SourceContext } from '../context.js';

const openDeadlineMs = 10_000;

/**
 * Opens the data channel to the destination, as Prepare offered it. Direct: this agent upgrades an HTTP connection itself.
 * Tunnelled: the relay of this host does, and this agent connects to the relay; 201 means that the peer relay has accepted.
 */
export async function openChannel(
  context: SourceContext,
  transport: 'direct' | 'tunnelled',
  migrationId: string,
  peer: { readonly url: string; readonly ticket: string },
): Promise<Channel> {
  if (transport === 'tunnelled') return openTunnel(context, migrationId, peer);
  const { socket, head } = await openStream({ ...peer, migrationId, deadlineMs: openDeadlineMs, clock: context.clock });
  if (head.length > 0) {
    socket.destroy();
    throw new VmferryError('peer-nonsense', 'The destination sent bytes before the migration stream had begun.');
  }
  return Channel.of(socket);
}

async function openTunnel(
  context: SourceContext,
  migrationId: string,
  peer: { readonly url: string; readonly ticket: string },
): Promise<Channel> {
  if (context.relay === null)
    throw new VmferryError('invalid-argument', `The host ${context.host.hostName} has no tunnel relay; migrate directly.`);
  const stream = await context.relay.createStream({ role: 'source', migrationId, peer });
  if (stream.localSocket === null)
    throw new VmferryError('peer-nonsense', `The tunnel relay made stream ${stream.id} without a socket.`);
  return connectLocalStream(stream.localSocket, context.clock, openDeadlineMs);
}
