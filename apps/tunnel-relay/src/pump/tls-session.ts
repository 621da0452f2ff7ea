import type { TlsPem } from '@vmferry/tls';

/**
 * The TLS of one stream, as its worker thread begins it on the connection over which the peer was admitted. That admission was TLS too,
 * and ended there: Node cannot hand a session to another thread.
 */
export interface TlsSession {
  readonly role: 'client' | 'server';
  readonly own: TlsPem;
  /** The certificate (DER) that the peer has shown when it was admitted. Another one is not accepted, whoever has signed it. */
  readonly peer: Uint8Array;
  /**
   * The ALPN protocol of this one stream, made of a secret of its admission: both relays must offer it, so that the connections of two
   * streams cannot be exchanged on their way.
   */
  readonly protocol: string;
  /** How long the other relay may take, which may still wait for its QEMU. */
  readonly handshakeMs: number;
}
