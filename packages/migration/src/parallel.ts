import { VmferryError } from '@vmferry/errors';
import type { Protocol } from './protocols.js';

/*
 * Parallel migration (PARALLEL, 131072): QEMU's multifd. The pages of the guest go over further channels beside the main one, which keeps the
 * order. It needs the tunnel here: of a direct migration there is one connection.
 */

/** What QEMU takes when nobody says a number (`multifd-channels`). */
const connectionsDefault = 2;

/** Channels beside the main one, libvirt's `parallel.connections`; null for a migration that is not parallel. */
export function channelsOf(
  flags: ReadonlySet<string> | readonly string[],
  parallelConnections: number | undefined,
): number | null {
  return isParallel(flags) ? (parallelConnections ?? connectionsDefault) : null;
}

export function isParallel(flags: ReadonlySet<string> | readonly string[]): boolean {
  return new Set(flags).has('PARALLEL');
}

/** PARALLEL needs TUNNELLED (`flag-unsupported`), and the number of connections needs PARALLEL (`invalid-argument`). */
export function checkParallel(flags: ReadonlySet<string> | readonly string[], parallelConnections: number | undefined): void {
  const given = new Set(flags);
  if (isParallel(given) && !given.has('TUNNELLED')) {
    const detail =
      'PARALLEL is not supported without TUNNELLED: give TUNNELLED too, without a tcp: URI and without TLS, or leave PARALLEL out.';
    throw new VmferryError('flag-unsupported', detail, { errors: [{ path: '/flags', code: 'flag-unsupported', detail }] });
  }
  if (isParallel(given) || parallelConnections === undefined) return;
  const detail = 'parallelConnections has no meaning without the flag PARALLEL: give PARALLEL too, or leave it out.';
  throw new VmferryError('invalid-argument', detail, {
    errors: [{ path: '/parallelConnections', code: 'invalid-argument', detail }],
  });
}

/** Protocol v2 is of agents and tools that know of no parallel migration. Throws `peer-protocol`. */
export function refuseParallelIn(protocol: Protocol, flags: ReadonlySet<string> | readonly string[]): void {
  if (protocol !== 'v2' || !isParallel(flags)) return;
  throw new VmferryError('peer-protocol', 'PARALLEL is of protocol v3 alone, and this migration would be one of v2.');
}
