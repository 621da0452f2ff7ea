import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { noLocks } from '@vmferry/locking';
import { noLabels, type SecurityDriver } from '@vmferry/security-label';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { auditedOf, disposeUnstarted, findGuest, type Guest, type GuestHost, incomingStateOf, startGuest } from './index.js';
import { definitionOf, specHost, uuid } from './spec-host.js';

let world: Awaited<ReturnType<typeof specHost>>;
beforeAll(async () => {
  world = await specHost();
});
afterAll(() => world.close());

async function started(o: { id?: string; disk?: string; host?: GuestHost } = {}): Promise<Guest> {
  return startGuest(o.host ?? world.host, {
    placed: await world.host.displays.place(await definitionOf(world.host, o.disk, o.id)),
    incoming: false,
    persistent: true,
    state: { state: 'paused', reason: 'user' },
    migration: null,
  });
}

async function ended(guest: Guest): Promise<void> {
  await guest.kill();
  await guest.dispose({ migrated: false });
}

/** A host on which a start waits at D4, where it has its folder and its labels and no QEMU yet, until it is let go on. */
function waitingAtD4(over: Partial<GuestHost> = {}): { host: GuestHost; reached: Promise<void>; goOn: () => void } {
  let reach: () => void = () => undefined;
  let goOn: () => void = () => undefined;
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const faults: GuestHost['faults'] = async (point) => {
    if (point !== 'D4') return;
    reach();
    await gate;
  };
  return { host: { ...world.host, ...over, faults }, reached, goOn: () => goOn() };
}

it('gives each guest a folder of its own, also when their uuids are the same at both ends', async () => {
  const first = await started();
  const other = `${uuid.slice(0, 8)}-ffff-4fff-8fff-ffffff${uuid.slice(-6)}`;
  const second = await started({ id: other });
  expect(existsSync(first.status.monitors.source), 'the monitor of the first').toBe(true);
  for (const guest of [first, second]) {
    guest.qmp.close();
    const again = await findGuest(world.host, guest.status);
    expect(await again?.qmp.execute('query-name', {})).toEqual({ name: guest.definition.name });
    again?.qmp.close();
  }
  const mistaken = findGuest(world.host, { ...first.status, monitors: second.status.monitors });
  await expect(mistaken, 'the monitor is that of another process').rejects.toMatchObject({ code: 'monitor-failed' });
  await ended(first);
  expect(await world.host.statuses.read(other)).not.toBeNull();
  await ended(second);
  expect(await world.leftovers()).toEqual([]);
});

it('a second start of the same guest is refused and leaves the first alone', async () => {
  const { host, reached, goOn } = waitingAtD4();
  const first = started({ host });
  await reached;
  await expect(started()).rejects.toMatchObject({ code: 'lease-busy' });
  await disposeUnstarted(world.host, await definitionOf(world.host), { migrated: true });
  goOn();
  const guest = await first;
  await expect(started()).rejects.toMatchObject({ code: 'lease-busy' });
  expect(await world.host.statuses.read(uuid)).toMatchObject({ process: guest.status.process });
  expect(existsSync(guest.status.monitors.source)).toBe(true);
  await ended(guest);
});

it('without a lock driver the first status document decides, and the loser gives back nothing of the winner', async () => {
  const loser = waitingAtD4({ locks: noLocks });
  const late = started({ host: loser.host });
  await loser.reached;
  const guest = await started({ host: { ...world.host, locks: noLocks } });
  loser.goOn();
  await expect(late).rejects.toMatchObject({ code: 'lease-busy' });
  expect(await world.host.statuses.read(uuid)).toMatchObject({ process: guest.status.process });
  expect(existsSync(guest.status.monitors.source)).toBe(true);
  await ended(guest);
});

it('a start that fails on a disk that another QEMU writes says so, and gives back only what it has labelled itself', async () => {
  const disk = join(world.host.runtimeDir, '..', 'disk.img');
  writeFileSync(disk, Buffer.alloc(1_048_576));
  const elsewhere = await started({ disk, id: '6f3c9a52-0000-4a7b-8c55-0f9b3f1d2e11' });
  for (const labelled of [[disk], []]) {
    const restored: string[] = [];
    const security: SecurityDriver = {
      ...noLabels,
      labelAll: () => Promise.resolve(labelled),
      restorePath: (_, path) => Promise.resolve(void restored.push(path)),
      restoreAll: () => Promise.reject(new Error('not all of them are of this start')),
    };
    await expect(started({ disk, host: { ...world.host, security } })).rejects.toMatchObject({ code: 'domain-elsewhere' });
    expect(restored).toEqual(labelled);
  }
  await ended(elsewhere);
  expect(await world.leftovers()).toEqual([]);
});

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

it('S51: what QEMU is handed for a migration gets the label of its streams, and its sockets are made with theirs', async () => {
  const calls: string[] = [];
  const security: SecurityDriver = {
    ...noLabels,
    labelsOf: () => Promise.resolve([{ model: 'spec', doi: '0', label: 'of-guest' }]),
    labelStreamFd: (domain, fd) => Promise.resolve(void calls.push(`stream ${domain.uuid} ${fd}`)),
    socketMaker: (domain, whose) =>
      Promise.resolve((make) => {
        calls.push(`${whose} ${domain.uuid}`);
        return make();
      }),
  };
  const guest = await started({ host: { ...world.host, security } });
  expect(guest.labels).toEqual([{ model: 'spec', doi: '0', label: 'of-guest' }]);
  expect(new Set(calls), 'its monitor').toEqual(new Set([`agent ${uuid}`]));
  calls.length = 0;
  const { fd, name, label } = guest.handed({ fd: 17 }, 'vmferry-spec');
  await label(fd);
  (await guest.socketMaker('guest'))(() => undefined);
  expect([name, ...calls]).toEqual(['vmferry-spec', `stream ${uuid} 17`, `guest ${uuid}`]);
  await ended(guest);
});

it('after a restart the label of a guest that runs is its own again, and is told', async () => {
  const guest = await started();
  guest.qmp.close();
  const reserved: unknown[] = [];
  const security: SecurityDriver = {
    ...noLabels,
    reserve: (domain, pid) => Promise.resolve(void reserved.push(domain.uuid, pid)),
    labelsOf: () => Promise.resolve([{ model: 'spec', doi: '0', label: 'of-guest' }]),
  };
  const again = await findGuest({ ...world.host, security }, guest.status);
  expect([...reserved, again?.labels[0]?.label]).toEqual([uuid, guest.status.process.pid, 'of-guest']);
  await again?.kill();
  await again?.dispose({ migrated: false });
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
  const start = startGuest(world.host, {
    placed: await world.host.displays.place(await definitionOf(world.host, '/nonexistent/disk.img')),
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
    placed: await world.host.displays.place(await definitionOf(world.host)),
    incoming: true,
    persistent: false,
    state: { state: 'paused', reason: 'migration' },
    migration: { id: 'm1', nonce: '0'.repeat(32), role: 'destination' },
  });
  expect(await incomingStateOf(guest.qmp, 3_000)).toBe('incoming');
  await guest.kill();
  await guest.dispose({ migrated: true });
});

it('S11: an audit tells of the virtualization, the label and the resources that the definition says', async () => {
  const definition = await definitionOf(world.host, '/images/a.img');
  const user = { uid: 107, gid: 108 };
  const audited = auditedOf(definition, 42, { user });
  expect(audited).toEqual({
    virt: 'qemu',
    name: 'spec',
    uuid,
    pid: 42,
    label: { process: '+107:+108', image: '+107:+108' },
    resources: [
      { t: 'disk', reason: 'start', old: null, new: '/images/a.img' },
      { t: 'mem', reason: 'start', old: 0, new: 4096 },
      { t: 'vcpu', reason: 'start', old: 0, new: 1 },
    ],
  });
  expect(auditedOf({ ...definition, type: 'kvm' }, undefined, noLabels)).toMatchObject({ virt: 'kvm', label: null });
});
