import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { processesOf } from '@vmferry/lab';
import { describe, expect, it } from 'vitest';
import { expectTidy } from '../checks/expect-settled.js';
import { expectOneLife } from '../checks/life.js';
import { ByHand } from '../steps/by-hand.js';
import { eventually } from '../world/eventually.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';
import { expectSecond } from './scenario.js';

const inWorld = sharedWorld();

/** The guest has been committed on the other host, and the source-agent starts with a journal of that which it cannot read. */
async function leftWithoutJournal(world: World, whileDown: () => void = () => undefined): Promise<{ readonly journal: string }> {
  const { source, stateDir } = world.here;
  const hand = await new ByHand(world).upTo('finish');
  const journal = join(stateDir, 'migrations', `${hand.id}.${hand.begun.nonce}.outgoing.json`);
  await source.kill();
  whileDown();
  await writeFile(journal, '{"version":1,');
  await source.start();
  const { warning, migrationId } = await world.here.sourceClient().domain(world.uuid);
  expect([migrationId, warning]).toEqual([null, expect.stringContaining(`journal of migration ${hand.id} cannot be read`)]);
  return { journal };
}

/** The guest runs on B alone, on a disk that is its own, and goes back to A by a migration. */
async function expectHandedOver(world: World, journal: string): Promise<void> {
  world.here = world.there;
  await rm(`${journal}.unreadable-1`);
  await world.moreTicks();
  expectOneLife(world);
  expect((await stat(world.diskPath)).uid, 'the owner of the disk').toBe(65_534);
  await expectTidy(world, true);
  await expectSecond(world, 'p2p-direct', false);
}

describe('state that cannot be read', () => {
  it('I1: the journal of a migration that has committed: the copy here is not run, and may be destroyed', () =>
    inWorld(async (world) => {
      const { journal } = await leftWithoutJournal(world);
      const agent = world.here.sourceClient();
      const inDoubt = { code: 'in-doubt' };
      await expect(agent.resume(world.uuid)).rejects.toMatchObject(inDoubt);
      await expect(agent.migrate({ domain: world.uuid, destination: world.there.destination.url })).rejects.toMatchObject(
        inDoubt,
      );
      expect(await agent.domain(world.uuid)).toMatchObject({ state: 'paused' });
      await agent.destroy(world.uuid);
      await expectHandedOver(world, journal);
    }));

  it('I1: the same when its QEMU has ended meanwhile: nothing is started before it is destroyed', () =>
    inWorld(async (world) => {
      const qemu = await world.qemuOn(world.here);
      const { journal } = await leftWithoutJournal(world, () => process.kill(qemu, 'SIGKILL'));
      const agent = world.here.sourceClient();
      expect(await agent.domain(world.uuid)).toMatchObject({ state: 'shutoff', pid: null });
      await expect(agent.start(world.uuid)).rejects.toMatchObject({ code: 'in-doubt' });
      await world.here.source.kill();
      await world.here.source.start();
      await expect(agent.start(world.uuid)).rejects.toMatchObject({ code: 'in-doubt' });
      await agent.destroy(world.uuid);
      await expectHandedOver(world, journal);
    }));

  it('the status document of a guest that runs: it is said, nothing is started or forgotten, and mended it is found again', () =>
    inWorld(async (world) => {
      const { source, stateDir } = world.a;
      const path = join(stateDir, 'run', world.uuid, 'status.xml');
      const [qemu] = processesOf(world.uuid);
      const whole = await readFile(path, 'utf8');
      await source.kill();
      await writeFile(path, whole.slice(0, 100));
      for (const life of ['the one that sets it aside', 'the next one']) {
        await source.start();
        const agent = world.a.sourceClient();
        const { state, warning } = await agent.domain(world.uuid);
        expect([state, warning], life).toEqual(['shutoff', expect.stringContaining(`${path}.unreadable-1`)]);
        await expect(agent.start(world.uuid)).rejects.toMatchObject({ code: 'state-unreadable' });
        await expect(agent.undefineDomain(world.uuid)).rejects.toMatchObject({ code: 'state-unreadable' });
        await source.kill();
      }
      await writeFile(`${path}.unreadable-1`, whole);
      await rename(`${path}.unreadable-1`, path);
      await source.start();
      await eventually(async () =>
        expect(await world.a.sourceClient().domain(world.uuid)).toMatchObject({ state: 'running', pid: qemu, warning: null }),
      );
      await expectSecond(world, 'p2p-direct', false);
    }));
});
