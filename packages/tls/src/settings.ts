import { constants } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';

/** A certificate with its key, and the certificates that sign those of others; each as PEM text. Plain data, so that a thread can be given it. */
export interface TlsPem {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** AES-128-GCM first: it is the fastest where the processor has AES, and as strong as the rest of the handshake. */
const ciphers = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

/**
 * What every TLS connection of this house is made with: 1.3 alone, and no session is ever taken up again, so that each connection shows
 * a certificate that counts at that moment.
 */
export function tlsSettings({ cert, key, ca }: TlsPem): SecureContextOptions {
  const secureOptions = constants.SSL_OP_NO_TICKET;
  return { cert, key, ca, ciphers, honorCipherOrder: true, minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', secureOptions };
}
