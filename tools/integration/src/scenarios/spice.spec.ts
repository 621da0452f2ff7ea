import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { openDescriptors } from '@vmferry/lab';
import { qemuFolder, TestAuthority } from '@vmferry/tls/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { displayOf } from '../checks/display.js';
import { expectSettled, type Settled } from '../checks/expect-settled.js';
import { ByHand } from '../steps/by-hand.js';
import { eventually } from '../world/eventually.js';
import { endless, type Mode, migrate, type Run } from '../world/run.js';
import { SpiceClient, type SpiceServerAddress, spiceChannels } from '../world/spice-client.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

/** Both names are of loopback for whoever resolves them, as the client does. */
const hosts = {
  a: { name: 'host-a.localhost', displayPorts: '24000-24009' },
  b: { name: 'host-b.localhost', displayPorts: '24010-24019' },
};

const spice = (attributes = '') => `<graphics type='spice' autoport='yes' ${attributes}/><video><model type='vga'/></video>`;

const channels = spiceChannels.length;

/**
 * Migrates the guest and lets it go only when the client has opened its channels to the destination. That is what SPICE calls a seamless migration; at
 * the speed of loopback the guest would have left before, and the client would connect anew.
 */
async function migrateSeamlessly(world: World, mode: Mode): Promise<Run> {
  const run = migrate(world, { mode, ...endless });
  await eventually(async () => {
    const connected = openDescriptors(await world.incomingQemu()).filter((kind) => kind === 'tcp established');
    expect(connected.length).toBeGreaterThanOrEqual(channels);
  });
  await run.from.sourceClient().setParameters(run.id, { bandwidthMibPerSec: 1_000, downtimeMsMax: 300 });
  return run;
}

/** How many channels the guest's QEMU has clients on, by its own word. */
async function channelsOf({ here, name }: World): Promise<number> {
  const told = await here.sourceClient().monitorCommand(name, { execute: 'query-spice' });
  return (told.return as { channels: unknown[] }).channels.length;
}

async function connected(world: World, o: Partial<SpiceServerAddress> = {}): Promise<SpiceClient> {
  const client = SpiceClient.open({ host: '127.0.0.1', port: (await displayOf(world)).port, ...o });
  await client.connected();
  return client;
}

/** QEMU's own SPICE server has brought the destination's QEMU down (README, Limits). */
class SpiceServerDied extends Error {}

/** The guest is there; or, when the SPICE server there was no match for the channels of its client, safe on the source. */
async function expectThere(world: World, run: Run): Promise<Settled> {
  const settled = await expectSettled(world, run);
  const why = JSON.stringify([settled.source?.error, settled.destination?.error]);
  if (settled.guestOn === 'source' && /Spice: \S+ \(\w+\): unexpected/.test(why)) throw new SpiceServerDied(why);
  expect(settled.guestOn, why).toBe('destination');
  return settled;
}

/** What vmferry did wrong it would do wrong again. */
async function orOnceMore(act: () => Promise<void>): Promise<void> {
  await act().catch(async (error: unknown) => {
    if (!(error instanceof SpiceServerDied)) throw error;
    process.stderr.write(`QEMU's SPICE server ended the destination's QEMU, and the case is tried again: ${error.message}\n`);
    await act();
  });
}

/** The client has never been without its guest, and none of its channels was closed under it. */
function expectUnbroken({ said }: SpiceClient): void {
  expect(said.filter(({ what, event }) => what === 'disconnected' || (event ?? '').startsWith('error'))).toEqual([]);
}

describe('a SPICE client', () => {
  const inWorld = sharedWorld({ devices: spice("passwd='canary of a longer password'"), hosts });
  const password = 'canary of a longer password';

  it.each<Mode>(['p2p-tunnelled', 'p2p-direct'])(
    'S44: goes with the guest and stays connected, by its own words: %s, there and back',
    (mode) =>
      inWorld((world) =>
        orOnceMore(async () => {
          const client = await connected(world, { password });
          for (let leg = 0; leg < 2; leg += 1) {
            client.said.splice(0);
            const run = await migrateSeamlessly(world, mode);
            const { source } = await expectThere(world, run);
            const moved = await client.moved();
            expectUnbroken(client);
            const { port } = await displayOf(world);
            expect(client.said.flatMap(({ state = [] }) => state)).toEqual(['migrating', 'none']);
            expect(client.said.filter(({ what }) => what === 'channel')).toEqual([]);
            // S30: where it goes is told by the name in the destination's cookie.
            expect(moved).toMatchObject({ host: run.to.name, port: String(port) });
            expect(source?.display).toMatchObject({ type: 'spice', hostName: run.to.name, port });
            expect(await channelsOf(world)).toBe(channels);
          }
          await client.close();
        }),
      ),
  );

  it('S44: of a guest that leaves at the speed of loopback is there too, ahead of it or just after it, by itself', () =>
    inWorld((world) =>
      orOnceMore(async () => {
        const client = await connected(world, { password });
        client.said.splice(0);
        const run = migrate(world, { mode: 'p2p-direct' });
        await expectThere(world, run);
        expect(await client.moved()).toMatchObject({ host: run.to.name, port: String((await displayOf(world)).port) });
        await eventually(async () => expect(await channelsOf(world)).toBe(channels));
        expectUnbroken(client);
        await client.close();
      }),
    ));

  it('whose password is another one is shown nothing, before a migration and after it', () =>
    inWorld(async (world) => {
      for (let leg = 0; leg < 2; leg += 1) {
        const client = SpiceClient.open({ host: '127.0.0.1', port: (await displayOf(world)).port, password: 'canary' });
        await client.refused();
        await client.close();
        await expectSettled(world, migrate(world, { mode: 'p2p-direct' }), 'destination');
      }
    }));
});

describe('a SPICE client that cannot resolve the name of the destination', () => {
  const named = { a: { ...hosts.a, name: 'host-a.invalid' }, b: { ...hosts.b, name: 'host-b.invalid' } };
  const inWorld = sharedWorld({ devices: spice(), hosts: named });

  it('S44: is lost, and the guest goes over, where others find it', () =>
    inWorld(async (world) => {
      const client = await connected(world);
      await expectSettled(world, migrate(world, { mode: 'p2p-direct' }), 'destination');
      await client.lost();
      await client.close();
      await (await connected(world)).close();
    }));
});

describe('a SPICE client over TLS', () => {
  const authority = new TestAuthority();
  const folders: string[] = [];
  afterAll(() => {
    authority.remove();
    for (const dir of folders) rmSync(dirname(dir), { recursive: true });
  });

  /** A host whose displays show a certificate of this subject; it is of none of the names that the client connects to. */
  const withTls = (host: typeof hosts.a, subject: string) => {
    const server = authority.issue(['agent'], { names: ['DNS:elsewhere'], subject });
    const dir = qemuFolder({ ca: authority.ca, server }, 65_534);
    folders.push(dir);
    return { ...host, spiceTlsDir: dir };
  };
  const subjects = { a: 'O=Ships\\, Ltd,CN=display of a', b: 'C=DE,O=Ships\\, Ltd,CN=display of b' };
  const inWorld = sharedWorld({
    devices: spice(),
    hosts: { a: withTls(hosts.a, '/O=Ships, Ltd/CN=display of a'), b: withTls(hosts.b, '/C=DE/O=Ships, Ltd/CN=display of b') },
  });
  const subjectOf = ({ here, a }: World) => (here === a ? subjects.a : subjects.b);

  it.each<Mode>(['p2p-tunnelled', 'managed-direct'])(
    'S45: goes with the guest by the port and the certificate of the cookie, encrypted at both ends: %s',
    (mode) =>
      inWorld((world) =>
        orOnceMore(async () => {
          const { tlsPort } = await displayOf(world);
          const client = await connected(world, { port: null, tlsPort, caFile: authority.ca, certSubject: subjectOf(world) });
          for (let leg = 0; leg < 2; leg += 1) {
            client.said.splice(0);
            const run = await migrateSeamlessly(world, mode);
            const { source } = await expectThere(world, run);
            const there = await displayOf(world);
            // The certificate there is of no name that the client knows: it was taken for the subject that the cookie has told.
            expect(await client.moved()).toMatchObject({ 'host': run.to.name, 'tls-port': String(there.tlsPort) });
            expectUnbroken(client);
            expect(source?.display).toMatchObject({ port: there.port, tlsPort: there.tlsPort });
            expect(await channelsOf(world)).toBe(channels);
          }
          await client.close();
        }),
      ),
  );

  it('S45: the cookie of Prepare has the subject of the certificate on disk, before anybody has connected', () =>
    inWorld(async (world) => {
      const hand = await new ByHand(world).upTo('prepare');
      const cookie = Buffer.from(hand.prepared.cookie, 'base64').toString();
      const subject = subjects[world.here === world.a ? 'b' : 'a'];
      expect(cookie).toMatch(/<graphics type='spice' port='240\d\d' listen='127.0.0.1' tlsPort='240\d\d'>/);
      expect(cookie).toContain(`<cert info='subject' value='${subject}'/>`);
      await hand.giveUp();
    }));

  it('of another subject is not taken for the display', () =>
    inWorld(async (world) => {
      const { tlsPort } = await displayOf(world);
      const address = { host: '127.0.0.1', tlsPort, caFile: authority.ca, certSubject: 'CN=display of a' };
      const client = SpiceClient.open(address);
      await client.refused();
      await client.close();
    }));
});
