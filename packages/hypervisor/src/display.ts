import type { GraphicsDevice } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import type { QmpClient } from '@vmferry/qmp';

/** The display of the guest on the other host; -1 is a port that it does not have. */
export interface SpiceServer {
  readonly hostName: string;
  readonly port: number;
  readonly tlsPort: number;
  readonly certSubject?: string;
}

/** Where the clients of a SPICE display go on once the guest has left. QEMU takes it only before `migrate` (S44). */
export async function relocateSpiceClients(qmp: QmpClient, { hostName, port, tlsPort, certSubject }: SpiceServer): Promise<void> {
  await qmp.execute('client_migrate_info', {
    protocol: 'spice',
    hostname: hostName,
    ...(port < 0 ? {} : { port }),
    ...(tlsPort < 0 ? {} : { 'tls-port': tlsPort }),
    ...(certSubject === undefined ? {} : { 'cert-subject': certSubject }),
  });
}

/**
 * Resolves when the clients of a QEMU whose migration has completed have all that they take along: what they were shown goes through them to the
 * other QEMU, and would be lost with this one. Throws `monitor-timeout` after `deadlineMs`; QEMU itself waits 10 s for a client.
 */
export async function spiceClientsMoved(qmp: QmpClient, deadlineMs: number): Promise<void> {
  const giveUp = new AbortController();
  const moved = qmp.waitFor('SPICE_MIGRATE_COMPLETED', undefined, { deadlineMs, signal: giveUp.signal });
  moved.catch(() => undefined);
  try {
    if (!(await qmp.execute('query-spice', {})).migrated) await moved;
  } finally {
    giveUp.abort();
  }
}

/** Lets in whoever knows the password of the display, up to its time. Never on a command line, which every user of the host can read. */
export async function setDisplayPassword(qmp: QmpClient, { type, password, passwordValidTo }: GraphicsDevice): Promise<void> {
  if (password === undefined) return;
  await qmp.execute('set_password', { protocol: type, password });
  if (passwordValidTo === undefined) return;
  await qmp.execute('expire_password', { protocol: type, time: String(Date.parse(`${passwordValidTo}Z`) / 1000) });
}

/** Where a QEMU that somebody else has started shows its display; -1 is a port that it does not have. */
export async function displayPortsOf(qmp: QmpClient, { type }: GraphicsDevice): Promise<{ port: number; tlsPort: number }> {
  if (type === 'spice') {
    const { port = -1, 'tls-port': tlsPort = -1 } = await qmp.execute('query-spice', {});
    return { port, tlsPort };
  }
  const { service = '' } = await qmp.execute('query-vnc', {});
  if (/^\d{1,5}$/.test(service)) return { port: Number(service), tlsPort: -1 };
  throw new VmferryError(
    'monitor-failed',
    `QEMU says of its VNC display that it is at ${JSON.stringify(service)}, which is no port.`,
  );
}
