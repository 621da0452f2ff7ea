import { VmferryError } from '@vmferry/errors';
import type { DomainStatus } from '@vmferry/host-state';
import { QmpClient } from '@vmferry/qmp';
import type { GuestHost } from './guest-host.js';

/**
 * Connects to this agent's monitor of a guest. By the kernel's word the process of the status document has to listen there: whatever else has
 * come to that path is never taken for the guest. Throws like `QmpClient.connect`, and `monitor-failed` for another process.
 */
export async function connectMonitor(
  host: GuestHost,
  { uuid, monitors, process, name }: Pick<DomainStatus, 'uuid' | 'monitors' | 'process' | 'name'>,
  o: { readonly deadlineMs: number; readonly signal?: AbortSignal },
): Promise<QmpClient> {
  const path = host.owner === 'source' ? monitors.source : monitors.destination;
  const makeSocket = await host.security.socketMaker({ uuid }, 'agent');
  const qmp = await QmpClient.connect({ path, clock: host.clock, makeSocket, ...o });
  const listener = qmp.listenerPid;
  if (listener === process.pid) return qmp;
  qmp.close();
  throw new VmferryError(
    'monitor-failed',
    `Process ${listener} listens on the monitor ${path}, and not QEMU (pid ${process.pid}) of domain ${name}.`,
    { data: { path, pid: process.pid, listener } },
  );
}
