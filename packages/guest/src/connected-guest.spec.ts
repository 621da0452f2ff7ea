import { readdirSync, readlinkSync } from 'node:fs';
import { type DomainDefinition, parseDomain, tapsOf } from '@vmferry/domain';
import { parseNetworks } from '@vmferry/network';
import { devices, forbidden, ip, ownNamespace } from '@vmferry/network/testing';
import { closeFd } from '@vmferry/posix';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { disposeUnstarted, type Guest, obstaclesTo, removeUnstartedDevices, startGuest } from './index.js';
import { definitionOf, specHost } from './spec-host.js';

describe.skipIf(forbidden !== null)(`a guest that is connected ${forbidden ?? ''}`, () => {
  const before = ['br0', 'v0', 'v1'];
  let leave: () => void;
  let world: Awaited<ReturnType<typeof specHost>>;
  beforeAll(async () => {
    leave = ownNamespace();
    ip('link', 'add', 'name', 'br0', 'type', 'bridge');
    ip('link', 'add', 'name', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
    world = await specHost(parseNetworks(['blue=bridge:br0', 'red=direct:v0']));
  });
  afterEach(async () => {
    expect(devices().sort()).toEqual(before);
    expect(await world.leftovers()).toEqual([]);
  });
  afterAll(async () => {
    await world.close();
    leave();
  });

  const on = (...networks: readonly string[]) =>
    networks.map((network) => `<interface type='network'><source network='${network}'/></interface>`).join('');

  async function start(definition: DomainDefinition, incoming: boolean): Promise<Guest> {
    return startGuest(world.host, {
      placed: await world.host.displays.place(definition),
      incoming,
      persistent: false,
      state: { state: 'paused', reason: incoming ? 'migration' : 'user' },
      migration: null,
    });
  }

  async function end(guest: Guest): Promise<void> {
    await guest.kill();
    await guest.dispose({ migrated: false });
  }

  it('S2: runs on what its networks are here, has their descriptors, and its status says so', async () => {
    const definition = await definitionOf(world.host, undefined, undefined, on('blue', 'red'));
    const guest = await start(definition, false);
    const names = tapsOf(guest.definition).map(({ targetDev }) => targetDev ?? '');
    expect(devices().sort()).toEqual([...before, ...names].sort());
    expect(parseDomain(guest.status.domainXml)).toEqual(guest.definition);
    const fds = readdirSync(`/proc/${guest.status.process.pid}/fd`).map((fd) =>
      readlinkSync(`/proc/${guest.status.process.pid}/fd/${fd}`),
    );
    expect(fds.filter((path) => path === '/dev/net/tun' || path.startsWith('/dev/tap'))).toHaveLength(2);
    for (const name of names) expect(ip('link', 'show', 'dev', name), name).toMatch(/[<,]UP[,>]/);
    expect(await guest.announce()).toBe(true);
    await end(guest);
  });

  it('is not online while it comes in', async () => {
    const guest = await start(await definitionOf(world.host, undefined, undefined, on('red')), true);
    const [name = ''] = tapsOf(guest.definition).map(({ targetDev }) => targetDev ?? '');
    expect(ip('link', 'show', 'dev', name)).not.toMatch(/[<,]UP[,>]/);
    await world.host.network.goOnline(guest.definition);
    expect(ip('link', 'show', 'dev', name)).toMatch(/[<,]UP[,>]/);
    await end(guest);
  });

  it('leaves no device when its QEMU cannot start', async () => {
    const definition = await definitionOf(world.host, '/nonexistent/disk.img', undefined, on('blue', 'red'));
    await expect(start(definition, false)).rejects.toThrow(/nonexistent/);
  });

  it('whose agent ended before there was a QEMU leaves no device either', async () => {
    const definition = await definitionOf(world.host, undefined, undefined, on('red'));
    for (const fd of await world.host.network.open(world.host.network.resolve(definition))) closeFd(fd);
    expect(devices()).toHaveLength(4);
    await disposeUnstarted(world.host, definition, { migrated: true });
    for (const fd of await world.host.network.open(world.host.network.resolve(definition))) closeFd(fd);
    await removeUnstartedDevices(world.host, definition);
    expect(devices()).toHaveLength(3);
    const guest = await start(definition, false);
    await removeUnstartedDevices(world.host, definition);
    expect(devices(), 'those of a guest that runs stay').toHaveLength(4);
    await end(guest);
  });

  it('is told all that is in its way before anything happens', async () => {
    const twice = `${on('blue').replace('blue', 'red')}<interface type='bridge'><source bridge='br9'/></interface>`;
    ip('link', 'set', 'v0', 'name', 'away');
    expect(await obstaclesTo(world.host, await definitionOf(world.host, undefined, undefined, twice))).toMatchObject([
      { code: 'network-unavailable', message: expect.stringContaining('v0') as string },
      { code: 'network-unavailable', message: expect.stringContaining('br9') as string },
    ]);
    await expect(start(await definitionOf(world.host, undefined, undefined, twice), false)).rejects.toMatchObject({
      code: 'network-unavailable',
    });
    ip('link', 'set', 'away', 'name', 'v0');
    expect(await obstaclesTo(world.host, await definitionOf(world.host, undefined, undefined, on('green')))).toMatchObject([
      { code: 'network-unavailable', data: { network: 'green' } },
    ]);
  });
});

it('a guest without interfaces is not announced', async () => {
  const world = await specHost();
  const guest = await startGuest(world.host, {
    placed: await world.host.displays.place(await definitionOf(world.host)),
    incoming: false,
    persistent: false,
    state: { state: 'paused', reason: 'user' },
    migration: null,
  });
  expect(await guest.announce()).toBe(false);
  await guest.kill();
  await guest.dispose({ migrated: false });
  await world.close();
});
