import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootSectorGuest, domainXmlOf, listenForTicks } from '@vmferry/guest-image';
import { Host, processesOf } from '@vmferry/lab';
import { expect, it, onTestFinished } from 'vitest';
import { expectAuditComplete } from '../checks/audit-complete.js';
import { expectOneLife } from '../checks/life.js';
import { untilSettled } from '../checks/resources.js';
import { eventually } from '../world/eventually.js';
import { startByHand } from '../world/qemu-by-hand.js';

const tickDeadlineMs = 20_000;

/** Two hosts, and a guest that somebody has started by hand on the machine of the first. */
async function openByHand() {
  const folder = await mkdtemp(join(tmpdir(), 'vfh-'));
  await chmod(folder, 0o711);
  for (const name of ['a', 'b', 'g']) await mkdir(join(folder, name), { mode: 0o711 });
  const [a, b] = [
    new Host({ name: 'host-a', folder: join(folder, 'a') }),
    new Host({ name: 'host-b', folder: join(folder, 'b') }),
  ];
  await Promise.all([a.start(), b.start()]);
  const serial = { type: 'unix-connect', path: join(folder, 'g', 'serial') } as const;
  const guest = await bootSectorGuest({ writable: true });
  const diskPath = await guest.copyFor(join(folder, 'g'));
  const ticks = await listenForTicks(serial.path);
  const [uuid, name, monitor] = [randomUUID(), 'by-hand', join(folder, 'g', 'm')];
  const qemu = startByHand({ name, uuid, diskPath, serialPath: serial.path, monitor });
  onTestFinished(async () => {
    const complete = expectAuditComplete([a.stateDir, b.stateDir]);
    await complete.finally(() => Promise.all([a.kill(), b.kill()]));
    qemu.kill();
    for (const pid of processesOf(uuid)) process.kill(pid, 'SIGKILL');
    await eventually(() => expect(processesOf(uuid)).toEqual([]));
    await ticks.close();
    await rm(folder, { recursive: true });
  });
  const xml = domainXmlOf({ name, uuid, diskPath, serial });
  return { a, b, uuid, name, xml, monitor, ticks, ...qemu };
}

/** As a second QEMU of the guest would try it. */
const isLocked = (path: string): boolean => spawnSync('flock', ['--nonblock', path, 'true']).status === 1;

it('I10: a guest that was started by hand is attached, found again after a restart of the agent, and migrated to another host', async () => {
  const { a, b, uuid, name, xml, monitor, ticks, exited, pid } = await openByHand();
  await ticks.waitForTick(() => ticks.ticks.length >= 5, tickDeadlineMs);
  const attached = await a.sourceClient().attachDomain({ xml, pid, monitor });
  expect(attached).toMatchObject({ uuid, pid, state: 'running', tainted: ['external-launch'], warning: null });

  await a.source.kill();
  await a.source.start();
  expect(await a.sourceClient().domain(uuid)).toEqual(attached);
  const { hostUuid } = await a.sourceClient().version();
  const live = join(a.stateDir, 'locks', `vm-${uuid}.live.${hostUuid}`);
  expect(isLocked(live), 'its live lock is held').toBe(true);

  const id = randomUUID();
  const flags = ['LIVE', 'TUNNELLED', 'PERSIST_DEST'];
  await a.sourceClient().migrate({ id, domain: name, destination: b.destination.url, flags });
  expect(await untilSettled(a.sourceClient(), id)).toMatchObject({ state: 'SUCCEEDED', guest: { runningOn: 'destination' } });
  await exited;
  expect(isLocked(live), 'its live lock went with it').toBe(false);

  const there = await eventually(() => b.sourceClient().domain(uuid));
  expect(there).toMatchObject({ state: 'running', persistent: true, tainted: [] });
  expect(processesOf(uuid)).toEqual([there.pid]);
  await expect(a.sourceClient().domain(uuid)).rejects.toMatchObject({ code: 'domain-not-found' });
  const before = ticks.ticks.length;
  await ticks.waitForTick(() => ticks.ticks.length >= before + 40, tickDeadlineMs);
  expectOneLife(ticks);
  expect(new Set(ticks.ticks.map(({ connection }) => connection)).size, 'QEMUs that ticked').toBe(2);
});
