import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { VmferryError } from '@vmferry/errors';
import type { TlsSession } from '../pump/index.js';

const secretBytes = 32;

/**
 * What the TLS of a stream begins with, from the TLS connection over which its peer was admitted: both relays end up with the same name
 * of the stream, which nobody else can know beforehand (RFC 8446, 7.5), and each with the certificate that the other one has shown.
 */
export function sessionAfter(
  socket: Socket,
  { role, own, handshakeMs }: Pick<TlsSession, 'role' | 'own' | 'handshakeMs'>,
): TlsSession {
  const peer = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
  if (!(socket instanceof TLSSocket) || peer === undefined)
    throw new VmferryError('stream-failed', 'The peer was not admitted over TLS.');
  const secret = socket.exportKeyingMaterial(secretBytes, 'EXPORTER-vmferry-stream-1', Buffer.alloc(0));
  return { role, own, peer: peer.raw, protocol: `vmferry-stream-1/${secret.toString('hex')}`, handshakeMs };
}
