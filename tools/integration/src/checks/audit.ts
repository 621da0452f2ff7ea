import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { verifyAuditFile } from '@vmferry/audit';
import type { Host } from '@vmferry/lab';
import { expect } from 'vitest';
import type { World } from '../world/world.js';

interface Control {
  readonly op: string;
  readonly reason: string;
  readonly pid: string;
  readonly time: string;
}

/**
 * I7: the chain of each audit file verifies, and over both agents of a host each QEMU of the guest was started once and stopped once; the one
 * that lives was not stopped. Every QEMU connects to the serial port when it starts, so none is missing.
 */
export async function expectAudited(world: World, living: readonly number[]): Promise<void> {
  let started = 0;
  let failed = 0;
  for (const host of world.hosts) {
    const lives = new Map<string, string[]>();
    for (const { op, pid } of await controlsOn(world, host)) lives.set(pid, [...(lives.get(pid) ?? []), op]);
    started += lives.size;
    failed += await failedStartsOf(world, host);
    for (const [pid, ops] of lives) {
      expect(ops, `I7: QEMU ${pid} on ${host.name}`).toEqual(living.includes(Number(pid)) ? ['start'] : ['start', 'stop']);
    }
  }
  // A start that failed is audited without its process, which may have come as far as its serial port or not.
  expect(world.serialConnections, 'I7: QEMUs that were audited as started').toBeGreaterThanOrEqual(started);
  expect(world.serialConnections, 'I7: QEMUs that were audited as started').toBeLessThanOrEqual(started + failed);
}

/** What the audit of a host tells of one QEMU of the guest, such as `start migrated`, in order. */
export async function auditOf(guest: Pick<World, 'uuid'>, host: Host, pid: number): Promise<string[]> {
  const controls = await controlsOn(guest, host);
  return controls.filter((control) => control.pid === String(pid)).map(({ op, reason }) => `${op} ${reason}`);
}

/** Of both agents of a host, in the order of time. */
async function controlsOn(guest: Pick<World, 'uuid'>, host: Host): Promise<Control[]> {
  const controls = await Promise.all(['source-agent', 'destination-agent'].map((app) => controlsOf(guest, host, app)));
  return controls.flat().sort((x, y) => x.time.localeCompare(y.time));
}

/** The starts that came to be and the stops, with the process; a start that failed is of no process. */
async function controlsOf(guest: Pick<World, 'uuid'>, host: Host, app: string): Promise<Control[]> {
  const path = join(host.stateDir, `${app}.audit`);
  if ((await readFile(path)).length > 0) await verifyAuditFile(path);
  const record =
    /^seq=\d+ time=(\S+) type=VIRT_CONTROL success=(yes|no) virt=\S+ op=(start|stop) reason=(\S+) .* uuid=(\S+)(?: vm-pid=(\d+))? hash=/;
  return (await readFile(path, 'utf8')).split('\n').flatMap((line) => {
    const [, time = '', success, op = '', reason = '', uuid, pid] = record.exec(line) ?? [];
    if (uuid !== guest.uuid || (op === 'start' && success === 'no')) return [];
    expect(pid, `I7: a ${op} without its process: ${line}`).toBeDefined();
    return [{ op, reason, pid: pid ?? '', time }];
  });
}

async function failedStartsOf(world: World, host: Host): Promise<number> {
  const paths = ['source-agent', 'destination-agent'].map((app) => join(host.stateDir, `${app}.audit`));
  const texts = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
  const failed = /type=VIRT_CONTROL success=no .* op=start /;
  return texts
    .join('\n')
    .split('\n')
    .filter((line) => failed.test(line) && line.includes(` uuid=${world.uuid} `)).length;
}
