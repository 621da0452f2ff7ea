import { VmferryError } from '@vmferry/errors';

/*
 * TLS (65536): the two QEMUs speak TLS with each other on the stream of a direct migration, with certificates of their own
 * (libvirt-protocol, A5).
 */

/** The flags of a step, or of a journal. */
export function wantsTls(flags: ReadonlySet<string> | readonly string[]): boolean {
  return new Set(flags).has('TLS');
}

/** Throws `invalid-argument` for flags that TLS cannot be beside; flags without it pass. */
export function checkTls(flags: ReadonlySet<string> | readonly string[]): void {
  const given = new Set(flags);
  if (!given.has('TLS')) return;
  if (given.has('TUNNELLED'))
    throw atOdds('the relays encrypt a tunnel by certificates of their own: leave one of TLS and TUNNELLED out');
  if (given.has('OFFLINE')) throw atOdds('nothing is sent with OFFLINE that could be encrypted: leave TLS out');
}

function atOdds(why: string): VmferryError {
  const detail = `TLS is of the stream from QEMU to QEMU; ${why}.`;
  return new VmferryError('invalid-argument', detail, { errors: [{ path: '/flags', code: 'invalid-argument', detail }] });
}
