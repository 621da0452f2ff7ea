import type { DisplayTls } from '@vmferry/guest';
import { QemuCertificates, type QemuCertificatesOptions } from './qemu-certificates.js';

/** TLS of this host's SPICE displays (libvirt's spice_tls_x509_cert_dir); null without a folder. */
export function spiceTls({ dir, ...options }: QemuCertificatesOptions): DisplayTls | null {
  if (dir === undefined) return null;
  const certificates = new QemuCertificates({ dir, ...options }, 'SPICE displays', '--spice-tls-dir');
  return { dir, subject: async () => subjectText((await certificates.of('server')).certificate) };
}

/** As a SPICE client compares it: in the order of the certificate, with commas. Node gives a line for each part, with commas in values escaped. */
function subjectText({ subject }: { readonly subject: string }): string {
  return subject.split('\n').join(',');
}
