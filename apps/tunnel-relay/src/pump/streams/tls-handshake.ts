import { Socket } from 'node:net';
import tls, { type TLSSocket } from 'node:tls';
import { duplicateFd } from '@vmferry/posix';
import { tlsSettings } from '@vmferry/tls';
import type { TlsSession } from '../tls-session.js';

/**
 * Begins the TLS of a stream on a connection, and resolves when the peer has proven that it is the one which was admitted. `fd` stays the
 * caller's. Rejects, with Node's own descriptor closed, also when `signal` is aborted.
 */
export async function shakeHands(fd: number, session: TlsSession, signal: AbortSignal): Promise<TLSSocket> {
  const connection = new Socket({ fd: duplicateFd(fd) });
  const abort = () => connection.destroy(new Error('aborted'));
  const timer = setTimeout(() => connection.destroy(broken('ETIMEDOUT', 110)), session.handshakeMs);
  signal.addEventListener('abort', abort, { once: true });
  try {
    const socket = await secured(connection, session);
    if (socket.alpnProtocol !== session.protocol) throw broken('EPROTO', 71);
    if (socket.getPeerX509Certificate()?.raw.equals(session.peer) !== true) throw broken('EACCES', 13);
    return socket;
  } catch (thrown) {
    connection.destroy();
    throw thrown;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

function secured(connection: Socket, { role, own, protocol }: TlsSession): Promise<TLSSocket> {
  const settings = { ...tlsSettings(own), ALPNProtocols: [protocol] };
  return new Promise((resolve, reject) => {
    connection.on('error', reject);
    if (role === 'client') {
      // Whether the certificate is that of the host was checked at the admission; here it has to be the same certificate.
      const socket = tls.connect({ ...settings, socket: connection, checkServerIdentity: () => undefined });
      socket.once('secureConnect', () => resolve(socket)).on('error', reject);
    } else {
      const server = tls.createServer({ ...settings, requestCert: true, rejectUnauthorized: true });
      server.once('secureConnection', resolve).once('tlsClientError', reject);
      server.emit('connection', connection);
    }
  });
}

/** A handshake that came to nothing, by the name of an errno, as all ends of a stream are told. */
function broken(code: string, errno: number): NodeJS.ErrnoException {
  return Object.assign(new Error(`The TLS of the stream failed: ${code}.`), { code, errno, syscall: 'read' });
}
