import type { MigrationTls } from '@vmferry/hypervisor';
import { QemuCertificates, type QemuCertificatesOptions } from './qemu-certificates.js';

/** QEMU's own TLS on the streams of migrations (libvirt's migrate_tls_x509_cert_dir). */
export class MigrateTls {
  readonly #certificates: QemuCertificates;

  constructor(options: QemuCertificatesOptions) {
    this.#certificates = new QemuCertificates(options, 'QEMUs', '--migrate-tls-dir');
  }

  get offered(): boolean {
    return this.#certificates.offered;
  }

  /** What QEMU is told for that end. Throws `tls-unavailable`. */
  async credentials(endpoint: MigrationTls['endpoint'], hostName?: string): Promise<MigrationTls> {
    const { dir } = await this.#certificates.of(endpoint);
    return { endpoint, dir, ...(hostName === undefined ? {} : { hostName }) };
  }
}
