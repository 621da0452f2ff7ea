import { pageWritten } from '@vmferry/guest-image';
import type { Host } from '@vmferry/lab';
import { describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { expectOneLife } from '../checks/life.js';
import { expectTold, expectToldOf, marksOf, untilState } from '../checks/lifecycle.js';
import { untilSettled, untilStreaming } from '../checks/resources.js';
import { endless, migrate, type Run } from '../world/run.js';
import { canMount } from '../world/small-disk.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

/*
 * QEMU stops a guest whose write finds no room (werror=enospc, its default), keeps the write, and tries it again when the guest is let go on.
 */

const inWorld = sharedWorld({ smallDisk: canMount });
const mode = 'p2p-direct';

async function writeWithoutRoom(world: World): Promise<void> {
  await world.smallDisk?.fill();
  world.writeToDisk();
}

/** The same while the memory goes over. */
async function fullWhileStreaming(world: World): Promise<Run> {
  const run = migrate(world, { mode, ...endless });
  await untilStreaming(run);
  await writeWithoutRoom(world);
  return run;
}

/** What could not be written is written, and the guest never knew. */
async function runsOnWithRoom(world: World, host: Host): Promise<void> {
  expect(await pageWritten(world.diskPath), 'the page was written without room').toBe(false);
  await world.smallDisk?.free();
  await host.sourceClient().resume(world.name);
  await world.moreTicks();
  expect(await pageWritten(world.diskPath), 'the page was written').toBe(true);
  await untilState(world, host, 'running/unpaused');
}

describe.runIf(canMount)('a guest whose disk is full', () => {
  it('A9: stands still for the error, again when it is resumed too early, and runs on when there is room', () =>
    inWorld(async (world) => {
      const host = world.here;
      const marks = await marksOf(world);
      await writeWithoutRoom(world);
      await untilState(world, host, 'paused/ioerror');
      await host.source.kill();
      await host.source.start();
      await untilState(world, host, 'paused/ioerror');
      await host.sourceClient().resume(world.name);
      const tooEarly = ['suspended/ioerror', 'resumed/unpaused', 'suspended/ioerror'];
      await expectTold(world, marks, new Map([[host, tooEarly]]));
      await untilState(world, host, 'paused/ioerror');
      await runsOnWithRoom(world, host);
      expectOneLife(world);
      await expectTold(world, marks, new Map([[host, [...tooEarly, 'resumed/unpaused']]]));
    }));

  it('A9: is moved as it stands, and runs on there', () =>
    inWorld(async (world) => {
      const marks = await marksOf(world);
      await writeWithoutRoom(world);
      await untilState(world, world.here, 'paused/ioerror');
      const run = migrate(world, { mode });
      await run.driven;
      await untilSettled(run.from.sourceClient(), run.id);
      await untilState(world, run.to, 'paused/user');
      await runsOnWithRoom(world, run.to);
      await expectSettled(world, run, 'destination');
      const there = ['started/migrated', 'suspended/paused', 'resumed/unpaused'];
      await expectToldOf(world, marks, run, ['suspended/ioerror', 'stopped/migrated'], kept(world, run, there));
    }));

  it('A9: while it is sent: it goes over, is let go on there, and stands still for the same error', () =>
    inWorld(async (world) => {
      const marks = await marksOf(world);
      const run = await fullWhileStreaming(world);
      await untilState(world, run.to, 'paused/ioerror');
      await runsOnWithRoom(world, run.to);
      await expectSettled(world, run, 'destination');
      const there = ['started/migrated', 'resumed/migrated', 'suspended/ioerror', 'resumed/unpaused'];
      await expectToldOf(world, marks, run, ['suspended/migrated', 'stopped/migrated'], kept(world, run, there));
    }));

  it('A9: while it is sent, and the migration is cancelled: it stands still for the same error here', () =>
    inWorld(async (world) => {
      const marks = await marksOf(world);
      const run = await fullWhileStreaming(world);
      await untilState(world, run.from, 'paused/migration');
      await run.cancel();
      await run.driven;
      await untilState(world, run.from, 'paused/ioerror');
      await runsOnWithRoom(world, run.from);
      await expectSettled(world, run, 'source');
      const here = ['suspended/migrated', 'resumed/migrated', 'suspended/ioerror', 'resumed/unpaused'];
      await expectToldOf(world, marks, run, here, ['started/migrated', 'stopped/failed']);
    }));
});

/** The host that has the guest's configuration updates it when the guest comes back. */
function kept(world: World, run: Run, [started = '', ...events]: readonly string[]): string[] {
  return [started, ...(run.to === world.a ? ['defined/updated'] : []), ...events];
}
