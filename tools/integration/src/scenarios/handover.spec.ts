import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Host, isStopped, processesOf } from '@vmferry/lab';
import { describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { untilSettled, untilSource } from '../checks/resources.js';
import { eventually } from '../world/eventually.js';
import { proxyTo } from '../world/proxy.js';
import { migrate, type Run } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import { World } from '../world/world.js';
import { expectSecond, modesOf } from './scenario.js';

const inWorld = sharedWorld();

/** A migration whose source-agent stands still when QEMU has completed: the destination has loaded, and Finish was not asked. */
async function frozenSource(world: World, point: 'S12' | 'S14', mode: ReturnType<typeof modesOf>[number]) {
  const { source } = world.here;
  await world.arm(source, `${point}=freeze`);
  const run = migrate(world, { mode });
  await eventually(() => expect(isStopped(source.pid), `${point} was met`).toBe(true));
  return run;
}

/** All processes of a host at once, its QEMU among them; what is on disk then is of an earlier boot. */
async function reboot(world: World, host: Host, qemu: number): Promise<void> {
  const apps = host.apps.map((app) => app.kill());
  process.kill(qemu, 'SIGKILL');
  await Promise.all(apps);
  await ofAnEarlierBoot(join(host.stateDir, 'run'));
  await ofAnEarlierBoot(join(host.stateDir, 'locks'));
  await world.supervise();
}

async function ofAnEarlierBoot(folder: string): Promise<void> {
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const text = await readFile(path, 'utf8');
    if (text.includes(bootId)) await writeFile(path, text.replaceAll(bootId, '11111111-1111-4111-8111-111111111111'));
  }
}

/** The destination has the whole image, and its source can show neither a guest nor a permit. */
async function untilHeldUnpermitted(run: Run): Promise<void> {
  await eventually(async () => {
    const told = await untilSettled(run.to.destinationClient(), run.id);
    const held = { state: 'NEEDS_ATTENTION', held: { reason: 'source-crashed-unpermitted' } };
    expect(told, 'I5: a complete image is kept').toMatchObject(held);
  });
}

describe('around the handover', () => {
  it.each(modesOf(0))('I1: %s: the reply of Finish is lost on the way', (mode) =>
    inWorld(async (world) => {
      const proxy = await proxyTo(world.there.destination.url, (asked) => asked.endsWith('/finish'));
      try {
        await expectSettled(world, migrate(world, { mode, via: proxy.url }), 'destination');
        expect(proxy.swallowed(), 'replies of Finish that were lost').toBeGreaterThan(0);
      } finally {
        await proxy.close();
      }
      await expectSecond(world, mode, false);
    }),
  );

  it.each(modesOf(1))('I2: %s: the source host is rebooted after the destination has loaded and the permit was written', (mode) =>
    inWorld(async (world) => {
      const qemu = await world.qemuOn(world.here);
      const run = await frozenSource(world, 'S14', mode);
      await reboot(world, run.from, qemu);
      await expectSettled(world, run, 'destination');
      await expectSecond(world, mode, false);
    }),
  );

  it.each(modesOf(0))(
    'I2: %s: the source host is rebooted after the destination has loaded and before the permit: held until it is resolved',
    (mode) =>
      inWorld(async (world) => {
        const qemu = await world.qemuOn(world.here);
        const run = await frozenSource(world, 'S12', mode);
        await reboot(world, run.from, qemu);
        const destination = run.to.destinationClient();
        await untilHeldUnpermitted(run);
        await destination.resolve(run.id, { keep: 'destination', proof: 'the host of the source was rebooted by this test' });
        await expectSettled(world, run, 'destination');
        await expectSecond(world, mode, false);
      }),
  );

  it.each(modesOf(1))(
    'I2: %s: QEMU alone dies after the destination has loaded and before the permit: resolved, the source lets go of all that it held',
    (mode) =>
      inWorld(async (world) => {
        const { source } = world.here;
        const qemu = await world.qemuOn(world.here);
        await world.arm(source, 'S12=delay:8000');
        const run = migrate(world, { mode, flags: ['LIVE', 'PERSIST_DEST', 'UNDEFINE_SOURCE'] });
        await eventually(() => expect(source.lastLife()).toContain('fault point S12: delay'));
        process.kill(qemu, 'SIGKILL');
        await untilHeldUnpermitted(run);
        await run.to.destinationClient().resolve(run.id, { keep: 'destination', proof: 'this test has killed that QEMU' });
        await expectSettled(world, run, 'destination');
        await expectSecond(world, mode, false);
      }),
  );

  it('I2: the destination host is rebooted after it has loaded and before it commits: the source runs on', () =>
    inWorld(async (world) => {
      const { destination } = world.there;
      await world.arm(destination, 'D13=freeze');
      const run = migrate(world, { mode: 'p2p-tunnelled' });
      await eventually(() => expect(isStopped(destination.pid), 'D13 was met').toBe(true));
      await reboot(world, run.to, await world.incomingQemu());
      await expectSettled(world, run, 'source');
      await expectSecond(world, 'p2p-tunnelled', false);
    }));
});

describe('Restart of an agent: the destination while committing, its QEMU gone', () => {
  it('I2: nobody knows whether the guest ran: the record says unknown, and the source keeps its copy paused for a person', async () => {
    const world = await World.open();
    try {
      const { destination } = world.there;
      await world.arm(destination, 'D16=freeze');
      const run = migrate(world, { mode: 'p2p-direct' });
      await eventually(() => expect(isStopped(destination.pid), 'D16 was met').toBe(true));
      const qemu = await world.incomingQemu();
      await destination.kill();
      process.kill(qemu, 'SIGKILL');
      await destination.start();
      const told = await untilSource(run, ({ state, outcome }) => state === 'NEEDS_ATTENTION' && outcome === 'unknown');
      expect(told.guest.runningOn).toBe('unknown');
      const there = await run.to.destinationClient().migration(run.id);
      expect(there).toMatchObject({ state: 'NEEDS_ATTENTION', outcome: 'unknown' });
      const source = run.from.sourceClient();
      expect(await source.domain(world.uuid)).toMatchObject({ state: 'paused', reason: 'migration', migrationId: run.id });
      const before = world.ticks.length;
      // A restart does not let the guest go on either.
      await run.from.source.kill();
      await run.from.source.start();
      await untilSource(run, ({ state }) => state === 'NEEDS_ATTENTION');
      expect(await source.domain(world.uuid)).toMatchObject({ state: 'paused', reason: 'migration' });
      expect(world.ticks.length).toBe(before);
      expect(processesOf(world.uuid)).toEqual([await world.qemuOn(run.from)]);
    } finally {
      await world.close({ keep: false });
    }
  });
});
