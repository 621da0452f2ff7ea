import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bootSectorGuest, domainXmlOf, listenForTicks } from '@vmferry/guest-image';
import { onTestFinished } from 'vitest';
import { startByHand } from './qemu-by-hand.js';
import type { World } from './world.js';

const tickDeadlineMs = 20_000;

/**
 * A guest beside that of the world, on A, with a panic device. No definition of ours has one, so its QEMU is started by hand and attached; its
 * configuration is what tells of it when it has ended.
 */
export async function panickingGuest(world: World) {
  const folder = join(world.folder, 'by-hand');
  await mkdir(folder);
  const [name, uuid, monitor, serialPath] = ['by-hand', randomUUID(), join(folder, 'm'), join(folder, 's')];
  const ticks = await listenForTicks(serialPath);
  const diskPath = await (await bootSectorGuest({ writable: true })).copyFor(folder);
  const qemu = startByHand({ name, uuid, diskPath, serialPath, monitor }, ['-device', 'pvpanic']);
  onTestFinished(async () => {
    qemu.kill();
    await qemu.exited;
    await ticks.close();
    await rm(folder, { recursive: true, force: true });
  });
  await ticks.waitForTick(() => true, tickDeadlineMs);
  const xml = domainXmlOf({ name, uuid, diskPath, serial: { type: 'unix-connect', path: serialPath } });
  await world.a.sourceClient().attachDomain({ xml, pid: qemu.pid, monitor });
  await world.a.sourceClient().createDomain({ xml });
  return { uuid, hosts: [world.a], pid: qemu.pid, ended: qemu.exited, panic: () => ticks.send('p') };
}
