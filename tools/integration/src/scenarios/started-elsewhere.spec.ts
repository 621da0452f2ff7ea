import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { processesOf } from '@vmferry/lab';
import { expect, it } from 'vitest';
import { expectSettled, expectTidy } from '../checks/expect-settled.js';
import { expectOneLife } from '../checks/life.js';
import { migrate } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import { expectSecond } from './scenario.js';

const inWorld = sharedWorld();
const mode = 'p2p-direct';

it('I1: a guest that has left is not started where it was while it runs on, nor while nobody can say; forced, its disks stay as they are', () =>
  inWorld(async (world) => {
    await expectSettled(world, migrate(world, { mode }), 'destination');
    const { a, b } = world;
    const data = { host: 'host-b', agent: b.destination.url };
    await expect(a.sourceClient().start(world.uuid)).rejects.toMatchObject({ code: 'domain-elsewhere', data });
    await a.source.kill();
    await a.source.start();
    await expect(a.sourceClient().start(world.uuid)).rejects.toMatchObject({ code: 'domain-elsewhere', data });
    await b.destination.kill();
    await expect(a.sourceClient().start(world.uuid)).rejects.toMatchObject({ code: 'peer-unreachable', data });
    const forced = a.sourceClient().start(world.uuid, { force: true });
    await expect(forced, "QEMU's image lock").rejects.toMatchObject({ code: 'domain-elsewhere' });
    expect(await readFile(join(a.stateDir, 'source-agent.audit'), 'utf8')).toContain('outcome="domain-elsewhere:force"');
    expect((await stat(world.diskPath)).uid, 'the owner of the disk').toBe(65_534);
    await b.destination.start();
    await world.moreTicks();
    expectOneLife(world);
    await expectTidy(world, true);
    await expectSecond(world, mode, false);
  }));

it('a guest that has left and has ended there is started where it was', () =>
  inWorld(async (world) => {
    await expectSettled(world, migrate(world, { mode }), 'destination');
    await world.b.sourceClient().destroy(world.uuid);
    expect(processesOf(world.uuid)).toEqual([]);
    await world.boot();
    await expectTidy(world, true);
    await expectSecond(world, mode, false);
  }));
