import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import type { Clock } from '@vmferry/seams';
import { checkReach } from '@vmferry/security-label';

export interface QemuCertificatesOptions {
  /** An absolute path; undefined: there is no such TLS on this host. */
  readonly dir: string | undefined;
  /** Who has to be able to read it; null when QEMU runs as the agent's own user. */
  readonly qemuUser: { readonly uid: number; readonly gid: number } | null;
  readonly hostName: string;
  readonly clock: Clock;
}

/** One end of a TLS connection of QEMU's own. */
export type Endpoint = 'server' | 'client';

/**
 * A folder of `ca-cert.pem`, `server-cert.pem` and `server-key.pem`, `client-cert.pem` and `client-key.pem`, as QEMU and libvirt name them. QEMU reads
 * them itself, as its own user, at the beginning of each use; who may read the folder is up to its administrator, as with libvirt.
 */
export class QemuCertificates {
  readonly #o: QemuCertificatesOptions;
  readonly #whose: string;
  readonly #option: string;

  /** `whose` are they, for messages, and by which option the folder is given. */
  constructor(options: QemuCertificatesOptions, whose: 'QEMUs' | 'SPICE displays', option: string) {
    this.#o = options;
    this.#whose = whose;
    this.#option = option;
  }

  get offered(): boolean {
    return this.#o.dir !== undefined;
  }

  /** The folder and the certificate of that end, once its files are there, readable for QEMU, of one pair and valid now. Throws `tls-unavailable`. */
  async of(endpoint: Endpoint): Promise<{ readonly dir: string; readonly certificate: X509Certificate }> {
    const { dir } = this.#o;
    if (dir === undefined) throw this.#unavailable(`it was given no folder with their certificates; see ${this.#option}`);
    const paths = { ca: 'ca-cert.pem', cert: `${endpoint}-cert.pem`, key: `${endpoint}-key.pem` } as const;
    try {
      await this.#checkReadable(join(dir, paths.ca), 'read');
      await this.#checkReadable(join(dir, paths.cert), 'read');
      await this.#checkReadable(join(dir, paths.key), 'read-secret');
      return { dir, certificate: await this.#checkPair(join(dir, paths.cert), join(dir, paths.key)) };
    } catch (thrown) {
      if (VmferryError.is(thrown, 'tls-unavailable')) throw thrown;
      throw this.#unavailable((thrown as Error).message.replace(/\.$/, ''), thrown);
    }
  }

  async #checkReadable(path: string, how: 'read' | 'read-secret'): Promise<void> {
    if (this.#o.qemuUser !== null) await checkReach(path, this.#o.qemuUser, how);
    else await readFile(path);
  }

  async #checkPair(certPath: string, keyPath: string): Promise<X509Certificate> {
    const certificate = new X509Certificate(await readFile(certPath));
    if (!certificate.checkPrivateKey(createPrivateKey(await readFile(keyPath))))
      throw this.#unavailable(`the key ${keyPath} is not that of ${certPath}`);
    const now = this.#o.clock.wall().getTime();
    const { validFrom, validTo } = certificate;
    if (now < Date.parse(validFrom)) throw this.#unavailable(`the certificate ${certPath} is not valid before ${validFrom}`);
    if (now > Date.parse(validTo)) throw this.#unavailable(`the certificate ${certPath} was valid until ${validTo}`);
    return certificate;
  }

  #unavailable(why: string, cause?: unknown): VmferryError {
    const detail = `The ${this.#whose} of ${this.#o.hostName} cannot speak TLS: ${why}.`;
    return new VmferryError('tls-unavailable', detail, { cause });
  }
}
