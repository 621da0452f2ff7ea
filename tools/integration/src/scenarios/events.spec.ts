import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isStopped } from '@vmferry/lab';
import { describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { expectTold, expectToldOf, marksOf, stateOn } from '../checks/lifecycle.js';
import { untilSettled, untilStreaming } from '../checks/resources.js';
import { eventually } from '../world/eventually.js';
import { driveFromProcess } from '../world/managed-process.js';
import { endless, mainModes, migrate, type Run } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';
import { expectPersistRefused, givenUp, rolledBack } from './failed-finish.js';

const inWorld = sharedWorld();
const mode = 'p2p-direct';

/** A peer-to-peer migration with exactly these flags. */
function migrateWith(world: World, flags: readonly string[], limits: Partial<typeof endless> = {}): Run {
  const [from, to, id] = [world.here, world.there, crypto.randomUUID()];
  const asked = { id, domain: world.name, destination: to.destination.url, flags: [...flags], ...limits };
  const driven = from
    .sourceClient()
    .migrate(asked)
    .then(() => null);
  return { id, mode, from, to, driven, cancel: () => from.sourceClient().cancelMigration(id) };
}

/** Both agents of both hosts die and come back. */
async function restartAgents(world: World): Promise<void> {
  await Promise.all(world.hosts.flatMap(({ source, destination }) => [source.kill(), destination.kill()]));
  await world.supervise();
}

describe('what is told of a migration that succeeds', () => {
  it.each(mainModes)('A9: %s: live, there and back to a configuration', (each) =>
    inWorld(async (world) => {
      for (const target of [
        ['started/migrated', 'resumed/migrated'],
        ['started/migrated', 'defined/updated', 'resumed/migrated'],
      ]) {
        const marks = await marksOf(world);
        const run = migrate(world, { mode: each });
        await expectSettled(world, run, 'destination');
        await expectToldOf(world, marks, run, ['suspended/migrated', 'stopped/migrated'], target);
        expect(await stateOn(world, run.to), 'S48').toBe('running/migrated');
      }
    }),
  );

  it('A9: not live, kept there and undefined here; S48: nothing is told twice, and reasons stay, when the agents die and come back', () =>
    inWorld(async (world) => {
      // There, and back again, so that the configuration is where the next case looks for it.
      for (let times = 0; times < 2; times += 1) {
        const marks = await marksOf(world);
        const run = migrateWith(world, ['PERSIST_DEST', 'UNDEFINE_SOURCE']);
        await expectSettled(world, run, 'destination');
        const source = ['suspended/migrated', 'stopped/migrated', 'undefined/removed'];
        const target = ['started/migrated', 'defined/added', 'resumed/migrated'];
        await expectToldOf(world, marks, run, source, target);
        await restartAgents(world);
        await eventually(async () => expect(await stateOn(world, run.to)).toBe('running/migrated'));
        await expectToldOf(world, marks, run, source, target);
      }
    }));

  it('A9: of a guest that its user has paused', () =>
    inWorld(async (world) => {
      const marks = await marksOf(world);
      await world.here.sourceClient().suspend(world.name);
      const run = migrateWith(world, ['LIVE']);
      await run.driven;
      await untilSettled(run.from.sourceClient(), run.id);
      await expectToldOf(world, marks, run, ['suspended/paused', 'stopped/migrated'], ['started/migrated', 'suspended/paused']);
      expect(await stateOn(world, run.to), 'S48').toBe('paused/user');
      await run.to.sourceClient().resume(world.name);
      await expectSettled(world, run, 'destination');
      await expectToldOf(
        world,
        marks,
        run,
        ['suspended/paused', 'stopped/migrated'],
        ['started/migrated', 'suspended/paused', 'resumed/unpaused'],
      );
    }));
});

describe('what is told of a user who acts', () => {
  it('S22: who suspends a guest that migrates makes it stand still for the migration, once; it runs on there', () =>
    inWorld(async (world) => {
      const marks = await marksOf(world);
      const run = migrate(world, { mode, ...endless });
      await untilStreaming(run);
      await run.from.sourceClient().suspend(world.name);
      await run.from.sourceClient().setParameters(run.id, { bandwidthMibPerSec: 1_024, downtimeMsMax: 300 });
      await expectSettled(world, run, 'destination');
      const target = ['started/migrated', ...(run.to === world.a ? ['defined/updated'] : []), 'resumed/migrated'];
      await expectToldOf(world, marks, run, ['suspended/migrated', 'stopped/migrated'], target);
    }));

  it('A9: suspends, resumes, destroys and boots it; and of a QEMU that ends by itself, seen or found out by an agent that comes back', () =>
    inWorld(async (world) => {
      const host = world.here;
      const marks = await marksOf(world);
      const agent = host.sourceClient();
      await agent.suspend(world.name);
      await agent.resume(world.name);
      const events = ['suspended/paused', 'resumed/unpaused'];
      await expectTold(world, marks, new Map([[host, events]]));
      await agent.destroy(world.name);
      events.push('stopped/destroyed');
      await expectTold(world, marks, new Map([[host, events]]));

      const after = await marksOf(world);
      await world.boot();
      process.kill(await world.qemuOn(world.a), 'SIGKILL');
      await eventually(async () => expect(await stateOn(world, world.a), 'S48').toBe('shutoff/crashed'));
      await world.boot();
      const qemu = await world.qemuOn(world.a);
      await world.a.source.kill();
      process.kill(qemu, 'SIGKILL');
      await world.a.source.start();
      await eventually(async () => expect(await stateOn(world, world.a), 'S48').toBe('shutoff/crashed'));
      await world.a.source.kill();
      await world.a.source.start();
      await world.boot();
      const lives = ['started/booted', 'stopped/failed', 'started/booted', 'stopped/failed', 'started/booted'];
      await expectTold(world, after, new Map([[world.a, lives]]));
    }));
});

describe('a configuration that is kept before the guest is run', () => {
  it('S13: cannot be written: Finish fails by its own code, the guest runs on at the source, nothing is left there', () =>
    inWorld(async (world) => {
      const { source } = await expectPersistRefused(world, mode);
      expect(source?.error).toMatchObject({ code: 'persist-failed', side: 'destination', phase: 'finish' });
    }));

  it.each([
    ['was new', null, ['defined/added'], ['undefined/removed']],
    ['was there before', 'as it was before', ['defined/updated'], ['defined/updated']],
  ] as const)(
    'S13: and %s, when the migration aborts after all and the agent is restarted: it is put back as it was',
    (_what, title, kept, putBack) =>
      inWorld(async (world) => {
        const there = world.there.sourceClient();
        // The world's first guest has its configuration on A alone, and each case leaves it there.
        if (world.here === world.b) await expectSettled(world, migrate(world, { mode }), 'destination');
        const xml = (await world.here.sourceClient().domainXml(world.name)).xml;
        if (title !== null) await there.createDomain({ xml: xml.replace('</name>', `</name><title>${title}</title>`) });
        const before = title === null ? null : await there.domainXml(world.name);
        // The lease is had and the configuration kept: the record is about to say committing.
        await world.arm(world.there.destination, 'D14=freeze');
        const marks = await marksOf(world);
        const run = migrateWith(world, ['LIVE', 'PERSIST_DEST']);
        await eventually(() => expect(isStopped(run.to.destination.pid), 'D14 was met').toBe(true));
        const config = join(run.to.stateDir, 'domains', `${world.uuid}.xml`);
        expect(await readFile(config, 'utf8')).not.toContain('<title>');
        process.kill(await world.incomingQemu(), 'SIGKILL');
        await run.to.destination.kill();
        await run.to.destination.start();
        await expectSettled(world, run, 'source');
        await expectToldOf(world, marks, run, rolledBack, ['started/migrated', ...kept, 'stopped/failed', ...putBack]);
        if (before === null) {
          await expect(readFile(config)).rejects.toMatchObject({ code: 'ENOENT' });
        } else {
          expect(await readFile(config, 'utf8')).toContain(`<title>${title}</title>`);
          expect(await there.domainXml(world.name)).toEqual(before);
          await there.undefineDomain(world.name);
        }
      }),
  );

  it('S13: is kept under the new name of a guest that is renamed', () =>
    inWorld(async (world) => {
      const marks = await marksOf(world);
      const [from, to, id] = [world.here, world.there, crypto.randomUUID()];
      const asked = {
        id,
        domain: world.name,
        destination: to.destination.url,
        destinationName: 'renamed',
        flags: ['LIVE', 'PERSIST_DEST'],
      };
      const run: Run = {
        id,
        mode,
        from,
        to,
        driven: from
          .sourceClient()
          .migrate(asked)
          .then(() => null),
        cancel: () => Promise.resolve(),
      };
      await expectSettled(world, run, 'destination');
      await expectToldOf(
        world,
        marks,
        run,
        ['suspended/migrated', 'stopped/migrated'],
        ['started/migrated', 'defined/added', 'resumed/migrated'],
      );
      expect(await readFile(join(to.stateDir, 'domains', `${world.uuid}.xml`), 'utf8')).toContain('<name>renamed</name>');
      // And home again under its own name, with nothing left behind.
      const back = {
        ...asked,
        id: crypto.randomUUID(),
        domain: 'renamed',
        destination: from.destination.url,
        destinationName: world.name,
      };
      const home: Run = {
        ...run,
        id: back.id,
        from: to,
        to: from,
        driven: to
          .sourceClient()
          .migrate({ ...back, flags: ['LIVE', 'UNDEFINE_SOURCE'] })
          .then(() => null),
      };
      await expectSettled(world, home, 'destination');
      expect(await readdir(join(to.stateDir, 'domains'))).toEqual([]);
    }));
});

describe('what is told of a migration that fails', () => {
  it('A9: cancelled while the guest runs', () =>
    inWorld(async (world) => {
      const marks = await marksOf(world);
      const run = migrate(world, { mode, ...endless });
      await untilStreaming(run);
      await run.cancel();
      await expectSettled(world, run, 'source');
      await expectToldOf(world, marks, run, [], givenUp);
    }));

  it('A9: cancelled while the guest stands still for it', () =>
    inWorld(async (world) => {
      const marks = await marksOf(world);
      const run = migrateWith(world, [], endless);
      await untilStreaming(run);
      expect(await stateOn(world, run.from), 'S48').toBe('paused/migration');
      await run.cancel();
      await expectSettled(world, run, 'source');
      await expectToldOf(world, marks, run, rolledBack, givenUp);
      expect(await stateOn(world, run.from), 'S48').toBe('running/migration canceled');
    }));

  it('S48: the source agent dies while the guest stands still: each event is told once, and the reasons are there', () =>
    inWorld(async (world) => {
      const marks = await marksOf(world);
      const run = migrateWith(world, [], endless);
      await untilStreaming(run);
      await run.from.source.kill();
      await run.from.source.start();
      await expectSettled(world, run, 'source');
      await eventually(async () => expect(await stateOn(world, run.from)).toBe('running/migration canceled'));
      await expectTold(world, marks, new Map([[run.from, rolledBack]]));
    }));

  it('A9: the client dies between Prepare and Perform', () =>
    inWorld(async (world) => {
      const marks = await marksOf(world);
      const { run } = driveFromProcess(world, 'managed-direct', 'S5=kill');
      await expectSettled(world, run, 'source');
      await expectToldOf(world, marks, run, [], ['started/migrated', 'stopped/destroyed']);
    }));

  it('A9: the QEMU of the source dies; S48: it has crashed', () =>
    inWorld(async (world) => {
      const marks = await marksOf(world);
      const run = migrate(world, { mode, ...endless });
      await untilStreaming(run);
      process.kill(await world.qemuOn(run.from), 'SIGKILL');
      await expectSettled(world, run, 'lost');
      await expectToldOf(world, marks, run, ['stopped/failed'], givenUp);
      if (run.from === world.a) expect(await stateOn(world, world.a)).toBe('shutoff/crashed');
      await world.boot();
    }));

  it('A9: the QEMU of the destination is killed', () =>
    inWorld(async (world) => {
      const marks = await marksOf(world);
      const run = migrate(world, { mode, ...endless });
      await untilStreaming(run);
      process.kill(await world.incomingQemu(), 'SIGKILL');
      await expectSettled(world, run, 'source');
      await expectToldOf(world, marks, run, [], givenUp);
    }));
});
