import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TlsFiles } from '../identity.js';

/** Certificates as QEMU looks for them; a missing one is left out. Not for anybody but `group`, as an administrator would leave them. */
export interface QemuCertificates {
  readonly ca: string;
  readonly server?: TlsFiles;
  readonly client?: TlsFiles;
}

/** A folder of its own with these, under the names that QEMU knows; the caller removes it. */
export function qemuFolder({ ca, ...pairs }: QemuCertificates, group?: number): string {
  const above = mkdtempSync(join(tmpdir(), 'vf-pki-'));
  chmodSync(above, 0o711);
  const dir = join(above, 'qemu');
  mkdirSync(dir, { mode: 0o750 });
  const place = (from: string, name: string, mode: number) => {
    copyFileSync(from, join(dir, name));
    chmodSync(join(dir, name), mode);
    if (group !== undefined) chownSync(join(dir, name), 0, group);
  };
  if (group !== undefined) chownSync(dir, 0, group);
  place(ca, 'ca-cert.pem', 0o644);
  for (const [endpoint, files] of Object.entries(pairs)) {
    place(files.cert, `${endpoint}-cert.pem`, 0o644);
    place(files.key, `${endpoint}-key.pem`, 0o640);
  }
  return dir;
}
