import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { VmferryError } from '@vmferry/errors';
import { type TlsPem, tlsSettings } from './settings.js';

/** Paths of PEM files. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

export interface TlsIdentityListener {
  replaced(): void;
  /** The files have changed and cannot be used; what was read before still counts. */
  refused(error: VmferryError): void;
}

/**
 * The certificate, key and CA of an app, as they are on disk at each use: a certificate is replaced without a restart. The files are
 * not replaced in one step, so that a set which does not fit together is what there was before, until it fits.
 */
export class TlsIdentity {
  readonly #files: TlsFiles;
  readonly #listener: TlsIdentityListener;
  #seen: string;
  #pem: TlsPem;

  /** Throws 'invalid-argument' for files that cannot be read or do not fit together. Without a listener nobody is told of a change. */
  constructor(files: TlsFiles, listener: TlsIdentityListener = { replaced: () => undefined, refused: () => undefined }) {
    this.#files = files;
    this.#listener = listener;
    this.#seen = signatureOf(files);
    this.#pem = read(files);
  }

  /** For a connection that is made now; the same object as before while nothing has changed. */
  get pem(): TlsPem {
    const now = signatureOf(this.#files);
    if (now === this.#seen) return this.#pem;
    this.#seen = now;
    try {
      this.#pem = read(this.#files);
      this.#listener.replaced();
    } catch (thrown) {
      this.#listener.refused(VmferryError.from(thrown));
    }
    return this.#pem;
  }
}

/** Which files they are, and of when; that one is not there is a state of it too. */
function signatureOf(files: TlsFiles): string {
  const stats = [files.cert, files.key, files.ca].map((path) => statSync(path, { bigint: true, throwIfNoEntry: false }));
  return stats.map((stat) => (stat === undefined ? 'none' : `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}`)).join(' ');
}

function read(files: TlsFiles): TlsPem {
  try {
    const pem = {
      cert: readFileSync(files.cert, 'utf8'),
      key: readFileSync(files.key, 'utf8'),
      ca: readFileSync(files.ca, 'utf8'),
    };
    if (!pem.ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error(`there is no certificate in ${files.ca}`);
    // It also says whether the key is that of the certificate.
    createSecureContext(tlsSettings(pem));
    return pem;
  } catch (cause) {
    const detail = `The certificate ${files.cert}, its key ${files.key} and the CA ${files.ca} cannot be used: ${(cause as Error).message}.`;
    throw new VmferryError('invalid-argument', detail, { cause });
  }
}
