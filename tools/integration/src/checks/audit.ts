import type { AuditReport } from '@vmferry/audit';
import type { Host } from '@vmferry/lab';
import { expect } from 'vitest';
import type { World } from '../world/world.js';
import { reportOf } from './audit-complete.js';

/**
 * I7: the chain of each audit file verifies, and over both agents of a host each QEMU of the guest was started once and stopped once; the one
 * that lives was not stopped. Every QEMU connects to the serial port when it starts, so none is missing.
 */
export async function expectAudited(world: World, living: readonly number[]): Promise<void> {
  const reports = await Promise.all(world.hosts.map(({ stateDir }) => reportOf(stateDir)));
  const own = (controls: AuditReport['controls']) => controls.filter(({ uuid }) => uuid === world.uuid);
  expect(
    reports.flatMap(({ faults }) => faults),
    'I7: what is missing or too much',
  ).toEqual([]);
  const running = reports.flatMap((report) => own(report.running).map(({ pid }) => pid));
  expect(running.sort(), 'I7: QEMUs that were audited as started and not as stopped').toEqual([...living].sort());
  const started = reports.flatMap((report) => own(report.controls)).filter(({ op }) => op === 'start').length;
  const failed = reports.reduce((sum, { failedStarts }) => sum + (failedStarts[world.uuid] ?? 0), 0);
  // A start that failed is audited without its process, which may have come as far as its serial port or not.
  expect(world.serialConnections, 'I7: QEMUs that were audited as started').toBeGreaterThanOrEqual(started);
  expect(world.serialConnections, 'I7: QEMUs that were audited as started').toBeLessThanOrEqual(started + failed);
}

/** What the audit of a host tells of one QEMU of the guest, such as `start migrated`, in order. */
export async function auditOf(guest: Pick<World, 'uuid'>, host: Host, pid: number): Promise<string[]> {
  const { controls } = await reportOf(host.stateDir);
  return controls.filter((each) => each.uuid === guest.uuid && each.pid === pid).map(({ op, reason }) => `${op} ${reason}`);
}
