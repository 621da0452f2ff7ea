import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { processesOf } from '@vmferry/lab';
import { describe, expect, it } from 'vitest';
import { displayOf } from '../checks/display.js';
import { expectSettled } from '../checks/expect-settled.js';
import { ByHand } from '../steps/by-hand.js';
import { eventually } from '../world/eventually.js';
import { endless, type Mode, migrate } from '../world/run.js';
import { greetVnc } from '../world/vnc-client.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

const hosts = { a: { displayPorts: '24020-24024' }, b: { displayPorts: '24025-24029' } };
const vnc = (attributes = '') => `<graphics type='vnc' autoport='yes'${attributes}/><video><model type='vga'/></video>`;
const refused = /ECONNREFUSED/;

describe('a VNC display', () => {
  const inWorld = sharedWorld({ devices: vnc(), hosts });

  it.each<Mode>(['p2p-tunnelled', 'managed-direct'])(
    'is at the destination once the guest is, where its migration and its domain say, and nowhere else: %s',
    (mode) =>
      inWorld(async (world) => {
        const before = await displayOf(world);
        expect(await greetVnc(before.port)).toEqual({ security: 'none', desktop: 'QEMU (guest)' });
        const run = migrate(world, { mode });
        const { source } = await expectSettled(world, run, 'destination');
        const after = await displayOf(world);
        expect(after.port).not.toBe(before.port);
        expect(source?.display).toEqual({ ...after, hostName: run.to.name });
        expect(await greetVnc(after.port)).toEqual({ security: 'none', desktop: 'QEMU (guest)' });
        await expect(greetVnc(before.port)).rejects.toThrow(refused);
        const { xml } = await world.here.sourceClient().domainXml(world.name);
        expect(xml).toContain(`<graphics type='vnc' autoport='yes' port='${after.port}'`);
      }),
  );

  it('stays where the guest stays, and its port at the destination is free again', () =>
    inWorld(async (world) => {
      const { port } = await displayOf(world);
      const run = migrate(world, { mode: 'p2p-direct', ...endless });
      const coming = await eventually(async () => {
        const { display } = await run.from.sourceClient().migration(run.id);
        if (display?.port == null) throw new Error('the migration does not say where the display goes');
        return display.port;
      });
      await greetVnc(coming);
      await run.cancel();
      const { source } = await expectSettled(world, run, 'source');
      expect(source?.display).toBeNull();
      await expect(greetVnc(coming)).rejects.toThrow(refused);
      await greetVnc(port);
    }));

  it('S36, S45: the cookie of Prepare says where it listens', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('prepare');
      const cookie = Buffer.from(hand.prepared.cookie, 'base64').toString();
      expect(cookie).toMatch(/<graphics type='vnc' port='2402\d' listen='127.0.0.1'\/>/);
      await hand.giveUp();
    }));
});

describe('the password of a display', () => {
  const secret = 'cAnary42';
  const inWorld = sharedWorld({ devices: vnc(` passwd='${secret}'`), hosts });

  it.each<Mode>(['p2p-tunnelled', 'managed-direct'])(
    'opens it, and no other one does, before and after a migration: %s',
    (mode) =>
      inWorld(async (world) => {
        for (let leg = 0; leg < 2; leg += 1) {
          const { port } = await displayOf(world);
          expect(await greetVnc(port, secret)).toEqual({ security: 'password', desktop: 'QEMU (guest)' });
          await expect(greetVnc(port, 'cAnary43')).rejects.toThrow(/refused/);
          await expectSettled(world, migrate(world, { mode }), 'destination');
        }
      }),
  );

  it('opens it no longer than to its time; a migration may bring another one', () =>
    inWorld(async (world) => {
      for (const [attributes, opens] of [
        [`passwd='${secret}' passwdValidTo='2020-01-01T00:00:00'`, false],
        ["passwd='cAnary44' passwdValidTo='2099-01-01T00:00:00'", true],
        [`passwd='${secret}'`, true],
      ] as const) {
        const live = await world.here.sourceClient().secureDomainXml(world.name);
        const xml = live.xml.replace(/ passwd='[^>]*?(?=\/?>)/, ` ${attributes}`);
        await expectSettled(world, migrate(world, { mode: 'p2p-direct', xml }), 'destination');
        const [, password = ''] = /passwd='([^']*)'/.exec(attributes) ?? [];
        const greeting = greetVnc((await displayOf(world)).port, password);
        if (opens) expect(await greeting).toMatchObject({ security: 'password' });
        else await expect(greeting).rejects.toThrow(/refused/);
      }
    }));

  it('is shown to nobody who only reads: not in XML, resources, events, logs, audit or a command line', () =>
    inWorld(async (world) => {
      const run = migrate(world, { mode: 'p2p-tunnelled' });
      await expectSettled(world, run, 'destination');
      const source = world.here.sourceClient();
      expect((await source.domainXml(world.name)).xml).not.toContain(secret);
      expect((await source.secureDomainXml(world.name)).xml).toContain(`passwd='${secret}'`);
      const told = [
        await source.domain(world.name),
        await run.from.sourceClient().migration(run.id),
        await run.to.destinationClient().migration(run.id),
      ];
      expect(JSON.stringify(told)).not.toContain(secret);
      for (const pid of processesOf(world.uuid)) expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(secret);
      expectKeptClosely(world, secret);
    }));
});

/** Only documents of the state folder hold it, which nobody but their owner can read. */
function expectKeptClosely(world: World, secret: string): void {
  const holding = ['a', 'b'].flatMap((host) =>
    readdirSync(join(world.folder, host), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => readFileSync(path).includes(secret)),
  );
  expect(holding.length, 'documents that hold the password').toBeGreaterThan(0);
  for (const path of holding) {
    expect(path).toMatch(/\/state\/(domains\/.*\.xml|run\/.*\/status\.xml|migrations\/.*\.(incoming|outgoing)\.json)$/);
    expect(statSync(path).mode & 0o777, path).toBe(0o600);
  }
}
