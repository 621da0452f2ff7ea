import { existsSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { auditedOf, findGuest, type Guest, incomingStateOf, startGuest } from './index.js';
import { definitionOf, specHost, uuid } from './spec-host.js';

let world: Awaited<ReturnType<typeof specHost>>;
beforeAll(async () => {
  world = await specHost();
});
afterAll(() => world.close());

async function started(): Promise<Guest> {
  return startGuest(world.host, {
    definition: await definitionOf(world.host),
    incoming: false,
    persistent: true,
    state: { state: 'paused', reason: 'user' },
    migration: null,
  });
}

it('starts QEMU paused, with its status on disk and a monitor for each agent', async () => {
  const guest = await started();
  expect(guest.alive).toBe(true);
  expect(await guest.qmp.execute('query-status', {})).toMatchObject({ running: false });
  expect(await world.host.statuses.read(uuid)).toMatchObject({ owner: 'source', process: guest.status.process });
  expect([guest.status.monitors.source, guest.status.monitors.destination].map((path) => existsSync(path))).toEqual([true, true]);
  await guest.kill();
  await guest.dispose({ migrated: false });
  expect(await world.leftovers()).toEqual([]);
});

it('refuses to give back what a living guest holds', async () => {
  const guest = await started();
  await expect(guest.dispose({ migrated: false })).rejects.toMatchObject({ code: 'internal' });
  await guest.kill();
  await guest.dispose({ migrated: false });
});

it('finds a guest again by its status, and none once it has ended', async () => {
  const first = await started();
  first.qmp.close();
  const status = await world.host.statuses.read(uuid);
  if (status === null) throw new Error('there is no status');
  const again = await findGuest(world.host, status);
  expect(again?.status.process).toEqual(first.status.process);
  expect(again?.definition.name).toBe('spec');
  await again?.kill();
  expect(await findGuest(world.host, status)).toBeNull();
  await again?.dispose({ migrated: false });
  expect(await world.leftovers()).toEqual([]);
});

it('I6: a guest that was handed over holds no descriptor of this agent', async () => {
  const before = readdirSync('/proc/self/fd').length;
  const guest = await started();
  const status = guest.status;
  guest.handOver();
  await expect.poll(() => readdirSync('/proc/self/fd').length).toBe(before);
  const again = await findGuest(world.host, status);
  await again?.kill();
  await again?.dispose({ migrated: false });
});

it('does not take another process with the same pid for the guest', async () => {
  const guest = await started();
  const { process } = guest.status;
  expect(await findGuest(world.host, { ...guest.status, process: { ...process, startTimeTicks: '1' } })).toBeNull();
  expect(await findGuest(world.host, { ...guest.status, process: { ...process, bootId: 'another boot' } })).toBeNull();
  await guest.kill();
  await guest.dispose({ migrated: false });
});

it('S27: a QEMU that cannot start leaves nothing behind, and its error carries the end of its log', async () => {
  const definition = await definitionOf(world.host, '/nonexistent/disk.img');
  const start = startGuest(world.host, {
    definition,
    incoming: false,
    persistent: false,
    state: { state: 'running', reason: 'booted' },
    migration: null,
  });
  await expect(start).rejects.toThrow(/nonexistent/);
  expect(await world.leftovers()).toEqual([]);
});

it('tells an incoming QEMU that has nothing yet from one that is loaded', async () => {
  const guest = await startGuest(world.host, {
    definition: await definitionOf(world.host),
    incoming: true,
    persistent: false,
    state: { state: 'paused', reason: 'migration' },
    migration: { id: 'm1', nonce: '0'.repeat(32), role: 'destination' },
  });
  expect(await incomingStateOf(guest.qmp, 3_000)).toBe('incoming');
  await guest.kill();
  await guest.dispose({ migrated: true });
});

it('audits what a guest is made of, and nothing of QEMU (S11)', async () => {
  const definition = await definitionOf(world.host, '/images/a.img');
  expect(auditedOf(definition, 42)).toMatchObject({
    virt: 'qemu',
    name: 'spec',
    pid: 42,
    memoryKib: 4096,
    disks: ['/images/a.img'],
    macs: [],
  });
});
