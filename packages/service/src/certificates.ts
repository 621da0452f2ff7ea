import type { RequestListener } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { VmferryError } from '@vmferry/errors';
import { type PeerCertificate, peerCertificate, type TlsIdentity, tlsSettings } from '@vmferry/tls';
import type { Log } from './log.js';

/**
 * An HTTPS server on which every client shows a certificate. The handshake lets in what it cannot verify, so that the client is told why its
 * requests are refused (`certificateOf`); nothing else is answered on such a connection.
 */
export function certifiedServer(
  identity: TlsIdentity,
  log: Log,
  options: https.ServerOptions,
  app: RequestListener,
): https.Server {
  let shown = identity.pem;
  const server = https.createServer({ ...options, ...tlsSettings(shown), requestCert: true, rejectUnauthorized: false }, app);
  // Before the server's own listener, which begins the handshake: it is the certificate of this moment that is shown.
  server.prependListener('connection', () => {
    const { pem } = identity;
    if (pem !== shown) server.setSecureContext(tlsSettings(pem));
    shown = pem;
  });
  server.on('secureConnection', (socket) => {
    try {
      certificateOf(socket);
    } catch (error) {
      log.warn('a certificate was refused', { peer: socket.remoteAddress, error });
    }
  });
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    log.warn('a TLS connection was refused', { peer: socket.remoteAddress, reason: inWords(error) });
  });
  return server;
}

const known = new WeakMap<Socket, PeerCertificate | VmferryError>();

/** The certificate of whoever sends on this connection; null without TLS. Throws 'certificate-refused'. */
export function certificateOf(socket: Socket): PeerCertificate | null {
  if (!(socket instanceof TLSSocket)) return null;
  const found = known.get(socket) ?? verdictOn(socket);
  known.set(socket, found);
  if (found instanceof VmferryError) throw found;
  return found;
}

function verdictOn(socket: TLSSocket): PeerCertificate | VmferryError {
  try {
    return peerCertificate(socket);
  } catch (thrown) {
    return VmferryError.from(thrown);
  }
}

const protocolFaults: Readonly<Record<string, string>> = {
  ERR_SSL_HTTP_REQUEST: 'it speaks plain HTTP, and this port TLS',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'it does not speak TLS 1.3',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS 1.3',
};

function inWords({ code = '', message }: NodeJS.ErrnoException): string {
  return protocolFaults[code] ?? message;
}
