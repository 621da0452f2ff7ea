import { VmferryError } from '@vmferry/errors';
import { TlsIdentity } from '@vmferry/tls';
import type { Log } from './log.js';

/** The options `--tls-cert`, `--tls-key` and `--tls-ca` of an app: paths of PEM files. */
export interface TlsOptions {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
}

/**
 * Who an app is over TLS, by its options: all three or none. A new certificate counts from the next connection on, and from SIGHUP, which
 * tells in the log at once whether it can be used. Throws 'invalid-argument'.
 */
export function openTlsIdentity({ tlsCert: cert, tlsKey: key, tlsCa: ca }: TlsOptions, log: Log): TlsIdentity | null {
  if (cert === undefined && key === undefined && ca === undefined) return null;
  if (cert === undefined || key === undefined || ca === undefined) {
    throw new VmferryError('invalid-argument', '--tls-cert, --tls-key and --tls-ca are given together, or none of them.');
  }
  const identity = new TlsIdentity(
    { cert, key, ca },
    {
      replaced: () => log.info('the certificate was replaced', { cert }),
      refused: (error) => log.error('the new certificate cannot be used; the one before it still is', { error }),
    },
  );
  process.on('SIGHUP', () => void identity.pem);
  return identity;
}
