import { parseTcpUri } from '@vmferry/api';
import { openStream, openTcp } from '@vmferry/client';
import type { CookieStream } from '@vmferry/cookie';
import { VmferryError } from '@vmferry/errors';
import { Channel, connectLocalStream } from '@vmferry/guest';
import type { SourceContext } from '../context.js';

const openDeadlineMs = 10_000;

/**
 * Opens the data channel to the destination, as Prepare offered it. Direct: this agent upgrades an HTTP connection itself, or connects to the
 * port that QEMU listens on there.
 */
export async function openChannel(context: SourceContext, migrationId: string, { url, ticket }: CookieStream): Promise<Channel> {
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

/** Tunnelled: the relay of this host opens it, and this agent connects to the relay; 201 means that the peer relay has accepted. */
export async function openTunnel(context: SourceContext, migrationId: string, { url, ticket }: CookieStream): Promise<Channel> {
  if (context.relay === null)
    throw new VmferryError('invalid-argument', `The host ${context.host.hostName} has no tunnel relay; migrate directly.`);
  if (ticket === null) throw new VmferryError('internal', `${url} is no stream of a relay.`);
  const stream = await context.relay.createStream({ role: 'source', migrationId, peer: { url, ticket } });
  if (stream.localSocket === null)
    throw new VmferryError('peer-nonsense', `The tunnel relay made stream ${stream.id} without a socket.`);
  return connectLocalStream(stream.localSocket, context.clock, openDeadlineMs);
}
