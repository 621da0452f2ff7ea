import { VmferryError } from '@vmferry/errors';

/*
 * TLS (65536): the two QEMUs speak TLS with each other on the stream of a direct migration, with certificates of their own
 * (libvirt-protocol, A5).
 */

/** The flags of a step, or of a journal. */
export function wantsTls(flags: ReadonlySet<string> | readonly string[]): boolean {
  return new Set(flags).has('TLS');
}

/** Throws `invalid-argument` for a tunnel; beside OFFLINE, `checkOffline` does. */
export function checkTls(flags: ReadonlySet<string> | readonly string[]): void {
  if (!wantsTls(flags) || !new Set(flags).has('TUNNELLED')) return;
  const detail =
    'TLS is of the stream from QEMU to QEMU, and the relays encrypt a tunnel by certificates of their own: leave one of TLS and TUNNELLED out.';
  throw new VmferryError('invalid-argument', detail, { errors: [{ path: '/flags', code: 'invalid-argument', detail }] });
}
