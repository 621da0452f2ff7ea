import { parseDomain } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import type { DomainStatus } from '@vmferry/host-state';
import { isSameProcess } from '@vmferry/hypervisor';
import { connectMonitor } from './connect-monitor.js';
import { Guest } from './guest.js';
import type { GuestHost } from './guest-host.js';
import { resourcesOf } from './holdings.js';

/** A QEMU that lives greets at once; one that does not is looked for again by whoever needs it. */
const greetingDeadlineMs = 3_000;

/**
 * Finds a guest again whose status document is on disk: after a restart of the agent, and when the source-agent adopts one. Null
 * when its QEMU is gone, which a pid alone cannot tell: its start time and the boot id have to be the same.
 */
export async function findGuest(host: GuestHost, status: DomainStatus): Promise<Guest | null> {
  if (!isSameProcess(status.process)) return null;
  try {
    const qmp = await connectMonitor(host, status, { deadlineMs: greetingDeadlineMs });
    await host.locks.register(status.uuid, status.process.pid, resourcesOf(status.uuid));
    await host.security.reserve(status, status.process.pid);
    // Nobody here has labelled a QEMU that something else has started.
    const isOurs = !status.tainted.includes('external-launch');
    const labels = isOurs ? await host.security.labelsOf(status) : [];
    return new Guest(host, parseDomain(status.domainXml), status, qmp, labels);
  } catch (thrown) {
    // It may have ended between the look and the greeting.
    if (!isSameProcess(status.process)) return null;
    throw VmferryError.from(thrown, 'monitor-failed');
  }
}
