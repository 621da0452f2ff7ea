import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { VmferryError } from '@vmferry/errors';
import { type Clock, systemClock } from '@vmferry/seams';
import { type TlsPem, tlsSettings } from './settings.js';

/** Paths of PEM files. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

export interface TlsIdentityListener {
  replaced(): void;
  /** The files have changed and cannot be used, or not any more; what was read before still counts. */
  refused(error: VmferryError): void;
}

/**
 * The certificate, key and CA of an app, as they are on disk at each use: a certificate is replaced without a restart. The files are
 * not replaced in one step, so that a set which does not fit together is what there was before, until it fits.
 */
export class TlsIdentity {
  readonly #files: TlsFiles;
  readonly #listener: TlsIdentityListener;
  readonly #clock: Pick<Clock, 'wall'>;
  #seen: string;
  #pem: TlsPem;

  /** Throws 'invalid-argument' for files that cannot be read or do not fit together. Without a listener nobody is told of a change. */
  constructor(
    files: TlsFiles,
    listener: TlsIdentityListener = { replaced: () => undefined, refused: () => undefined },
    clock: Pick<Clock, 'wall'> = systemClock,
  ) {
    this.#clock = clock;
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
      const pem = read(this.#files);
      refuseExpired(pem, this.#files, this.#clock.wall());
      this.#pem = pem;
      this.#listener.replaced();
    } catch (thrown) {
      this.#listener.refused(VmferryError.from(thrown));
    }
    return this.#pem;
  }
}

/** One that is over would lock its owner out where the one before it may still be good. */
function refuseExpired({ cert }: TlsPem, files: TlsFiles, now: Date): void {
  const { validTo } = new X509Certificate(cert);
  if (Date.parse(validTo) >= now.getTime()) return;
  throw new VmferryError('invalid-argument', `The certificate ${files.cert} was valid until ${validTo}.`);
}

/** Which files they are, and of when; that one is not there is a state of it too. */
function signatureOf(files: TlsFiles): string {
  const stats = [files.cert, files.key, files.ca].map((path) => statSync(path, { bigint: true, throwIfNoEntry: false }));
  return stats.map((stat) => (stat === undefined ? 'none' : `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}`)).join(' ');
}

function read(files: TlsFiles): TlsPem {
  try {
    const pem = { cert: readPem(files.cert), key: readPem(files.key), ca: readPem(files.ca) };
    // An empty certificate or key, and a CA that was cut off, are no error to a secure context.
    const certificate = new X509Certificate(pem.cert);
    const authorities = certificatesIn(pem.ca);
    if (authorities.length === 0) throw new Error(`there is no certificate in ${files.ca}`);
    if (!certificate.checkPrivateKey(createPrivateKey(pem.key))) throw new Error('the key is not that of the certificate');
    createSecureContext(tlsSettings(pem));
    return pem;
  } catch (cause) {
    const detail = `The certificate ${files.cert}, its key ${files.key} and the CA ${files.ca} cannot be used: ${(cause as Error).message}.`;
    throw new VmferryError('invalid-argument', detail, { cause });
  }
}

/** Whatever else can stand at a path, as a FIFO, would keep the app from its work for ever. */
function readPem(path: string): string {
  if (!statSync(path).isFile()) throw new Error(`${path} is no regular file`);
  return readFileSync(path, 'utf8');
}

/** Throws for one that was cut off. */
function certificatesIn(text: string): X509Certificate[] {
  const [, ...blocks] = text.split('-----BEGIN CERTIFICATE-----');
  return blocks.map((block) => new X509Certificate(`-----BEGIN CERTIFICATE-----${block}`));
}
