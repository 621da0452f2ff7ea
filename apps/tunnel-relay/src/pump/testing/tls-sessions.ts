import { X509Certificate } from 'node:crypto';
import { TlsIdentity } from '@vmferry/tls';
import { TestAuthority } from '@vmferry/tls/testing';
import type { TlsSession } from '../tls-session.js';

/** What the admission of a stream leaves to each of the two relays, with certificates of an authority of its own. */
export function tlsSessions(protocol: string): { readonly client: TlsSession; readonly server: TlsSession } {
  const authority = new TestAuthority();
  try {
    const issued = () => new TlsIdentity(authority.issue(['relay'])).pem;
    const [client, server] = [issued(), issued()];
    const common = { protocol, handshakeMs: 30_000 };
    return {
      client: { ...common, role: 'client', own: client, peer: new X509Certificate(server.cert).raw },
      server: { ...common, role: 'server', own: server, peer: new X509Certificate(client.cert).raw },
    };
  } finally {
    authority.remove();
  }
}
