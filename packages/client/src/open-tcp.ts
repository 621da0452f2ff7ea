import { lookup as systemLookup } from 'node:dns';
import { createConnection, type Socket } from 'node:net';
import { isRefusedAddress, type TcpUri } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import type { Clock } from '@vmferry/seams';
import { bare, guarded, refusedAddress } from './guarded-lookup.js';

export interface OpenTcpOptions {
  /** Where the QEMU of the other host listens. */
  readonly to: TcpUri & { readonly port: number };
  readonly deadlineMs: number;
  readonly clock: Clock;
  /** How a host name becomes addresses; the system's way when it is not given. */
  readonly lookup?: typeof systemLookup;
}

/**
 * Connects to a QEMU that listens; nothing is read from the connection or written to it. A name is resolved once, and not connected to when
 * it leads where no other host is (threats, row 6). Throws `stream-failed`, after the deadline too.
 */
export function openTcp({ to, deadlineMs, clock, lookup = systemLookup }: OpenTcpOptions): Promise<Socket> {
  const host = bare(to.host);
  if (isRefusedAddress(host)) return Promise.reject(refusedAddress(host));
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host, port: to.port, lookup: guarded(lookup) });
    socket.pause();
    const fail = (reason: string, cause?: unknown) => {
      timer.cancel();
      socket.destroy();
      const detail = `QEMU on the destination cannot be connected to at ${to.host}, port ${to.port}: ${reason}.`;
      reject(VmferryError.is(cause, 'invalid-argument') ? cause : new VmferryError('stream-failed', detail, { cause }));
    };
    const timer = clock.after(deadlineMs, () => fail(`there was no answer within ${deadlineMs} ms`));
    socket.once('error', (cause) => fail(cause.message, cause));
    socket.once('connect', () => {
      timer.cancel();
      socket.removeAllListeners('error');
      resolve(socket);
    });
  });
}
