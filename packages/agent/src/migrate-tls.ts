import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import type { MigrationTls } from '@vmferry/hypervisor';
import type { Clock } from '@vmferry/seams';
import { checkReach } from '@vmferry/security-label';

export interface MigrateTlsOptions {
  /** An absolute path; undefined: this host has no TLS for its QEMUs. */
  readonly dir: string | undefined;
  /** Who has to be able to read it; null when QEMU runs as the agent's own user. */
  readonly qemuUser: { readonly uid: number; readonly gid: number } | null;
  readonly hostName: string;
  readonly clock: Clock;
}

/**
 * QEMU's own TLS on this host: a folder of `ca-cert.pem`, `server-cert.pem` and `server-key.pem`, `client-cert.pem` and `client-key.pem`, as
 * libvirt's migrate_tls_x509_cert_dir. QEMU reads them itself, as its own user, at the beginning of each migration; who may read the
 * folder is up to its administrator, as with libvirt.
 */
export class MigrateTls {
  readonly #o: MigrateTlsOptions;

  constructor(options: MigrateTlsOptions) {
    this.#o = options;
  }

  get offered(): boolean {
    return this.#o.dir !== undefined;
  }

  /** What QEMU is told for that end, once its files are there, readable for QEMU, of one pair and valid now. Throws `tls-unavailable`. */
  async credentials(endpoint: MigrationTls['endpoint'], hostName?: string): Promise<MigrationTls> {
    const { dir } = this.#o;
    if (dir === undefined) throw this.#unavailable('it was given no folder with their certificates; see --migrate-tls-dir');
    const paths = { ca: 'ca-cert.pem', cert: `${endpoint}-cert.pem`, key: `${endpoint}-key.pem` } as const;
    try {
      await this.#checkReadable(join(dir, paths.ca), 'read');
      await this.#checkReadable(join(dir, paths.cert), 'read');
      await this.#checkReadable(join(dir, paths.key), 'read-secret');
      await this.#checkPair(join(dir, paths.cert), join(dir, paths.key));
    } catch (thrown) {
      if (VmferryError.is(thrown, 'tls-unavailable')) throw thrown;
      throw this.#unavailable((thrown as Error).message.replace(/\.$/, ''), thrown);
    }
    return { endpoint, dir, ...(hostName === undefined ? {} : { hostName }) };
  }

  async #checkReadable(path: string, how: 'read' | 'read-secret'): Promise<void> {
    if (this.#o.qemuUser !== null) await checkReach(path, this.#o.qemuUser, how);
    else await readFile(path);
  }

  async #checkPair(certPath: string, keyPath: string): Promise<void> {
    const certificate = new X509Certificate(await readFile(certPath));
    if (!certificate.checkPrivateKey(createPrivateKey(await readFile(keyPath))))
      throw this.#unavailable(`the key ${keyPath} is not that of ${certPath}`);
    const now = this.#o.clock.wall().getTime();
    const { validFrom, validTo } = certificate;
    if (now < Date.parse(validFrom)) throw this.#unavailable(`the certificate ${certPath} is not valid before ${validFrom}`);
    if (now > Date.parse(validTo)) throw this.#unavailable(`the certificate ${certPath} was valid until ${validTo}`);
  }

  #unavailable(why: string, cause?: unknown): VmferryError {
    return new VmferryError('tls-unavailable', `The QEMUs of ${this.#o.hostName} cannot speak TLS: ${why}.`, { cause });
  }
}
