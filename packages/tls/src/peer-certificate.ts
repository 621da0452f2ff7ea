import type { TLSSocket } from 'node:tls';
import { VmferryError } from '@vmferry/errors';
import { type Role, rolesOf } from './roles.js';

/** Who is at the other end of a TLS connection, as its certificate says. */
export interface PeerCertificate {
  /** Its common name, when that is fit for a log line, else its fingerprint. */
  readonly name: string;
  readonly roles: ReadonlySet<Role>;
  /** DER. */
  readonly raw: Uint8Array;
}

const plainName = /^CN=([A-Za-z0-9._@-]{1,64})$/m;

/** OpenSSL's reasons against a certificate, in words; Node has them as the codes of its errors. */
const faults: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is signed by itself',
  SELF_SIGNED_CERT_IN_CHAIN: 'it is not of the CA that is accepted here',
  UNABLE_TO_GET_ISSUER_CERT: 'it is not of the CA that is accepted here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'it is not of the CA that is accepted here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'it is not of the CA that is accepted here',
  CERT_SIGNATURE_FAILURE: 'it is not of the CA that is accepted here',
  CERT_UNTRUSTED: 'it is not of the CA that is accepted here',
  INVALID_CA: 'it is not of the CA that is accepted here',
  INVALID_PURPOSE: 'it is not for this end of a connection',
  ERR_TLS_CERT_ALTNAME_INVALID: 'it is not of this host',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'the other side wants one',
};

/** What an error of a TLS connection says against a certificate, in words; null when it is about something else. */
export function certificateFault(error: unknown): string | null {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return faults[code] ?? null;
}

/** The client's certificate on a connection whose server asks for one. Throws 'certificate-refused' with the reason. */
export function peerCertificate(socket: TLSSocket): PeerCertificate {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw refused('none was shown');
  // Node's types say Error; it is the code.
  const code = String(socket.authorizationError);
  if (!socket.authorized) throw refused(faults[code] ?? code);
  const name = plainName.exec(certificate.subject)?.[1] ?? certificate.fingerprint256.replaceAll(':', '').slice(0, 16);
  const roles = rolesOf(certificate);
  if (roles.size === 0) throw refused('it names no role among its URIs, such as vmferry://role/relay');
  return { name, roles, raw: certificate.raw };
}

export function refused(reason: string): VmferryError {
  return new VmferryError('certificate-refused', `The certificate is not accepted: ${reason}.`);
}
