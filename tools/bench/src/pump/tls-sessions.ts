import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { TlsFiles } from '@vmferry/tls';
import { TestAuthority } from '@vmferry/tls/testing';
import type { TlsSession } from '@vmferry/tunnel-relay/pump';

/** What an admission leaves to the two relays of a stream. The bench has none, so it makes the certificates and the protocol itself. */
export function tlsSessions(): { readonly client: TlsSession; readonly server: TlsSession } {
  const authority = new TestAuthority();
  try {
    const [client, server] = [pemOf(authority.issue(['relay'])), pemOf(authority.issue(['relay']))];
    const common = { protocol: 'vmferry-bench', handshakeMs: 30_000 };
    return {
      client: { ...common, role: 'client', own: client, peer: new X509Certificate(server.cert).raw },
      server: { ...common, role: 'server', own: server, peer: new X509Certificate(client.cert).raw },
    };
  } finally {
    authority.remove();
  }
}

function pemOf({ cert, key, ca }: TlsFiles): TlsSession['own'] {
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8'), ca: readFileSync(ca, 'utf8') };
}
