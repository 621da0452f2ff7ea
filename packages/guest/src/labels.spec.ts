import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DocumentStore } from '@vmferry/host-state';
import { DacLabels, noLabels, parseRememberedOwners, type SecurityDriver } from '@vmferry/security-label';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { disposeUnstarted, type GuestHost, startGuest } from './index.js';
import { definitionOf, specHost, uuid } from './spec-host.js';

const user = { uid: 65_534, gid: 65_534 };
const owner = { uid: 7, gid: 8 };

let world: Awaited<ReturnType<typeof specHost>>;
let folder: string;
let disk: string;
beforeAll(async () => {
  world = await specHost();
  folder = dirname(world.host.runtimeDir);
  chmodSync(folder, 0o711);
  mkdirSync(world.host.runtimeDir, { mode: 0o711 });
  mkdirSync(join(folder, 'labels'));
});
afterAll(() => world.close());
beforeEach(() => {
  disk = join(folder, 'disk.img');
  writeFileSync(disk, Buffer.alloc(1_048_576));
  chownSync(disk, owner.uid, owner.gid);
});

/** The real dac in front of a part that fails when it is told to; `taken` counts labels that nobody has given back. */
function hostWith(failing: keyof SecurityDriver | 'register' | 'create' | 'nothing', faultAt?: string) {
  const memory = new DocumentStore({
    dir: join(folder, 'labels'),
    suffix: '.json',
    parse: parseRememberedOwners,
    version: 1,
    report: ({ path }) => {
      throw new Error(path);
    },
  });
  const dac = new DacLabels({ user, memory, imageRoots: [folder] });
  const held = { taken: 0 };
  const refuse = () => Promise.reject(new Error(`${failing} fails`));
  const security: SecurityDriver = {
    ...noLabels,
    user,
    labelAll: async (domain) => {
      const labelled = await dac.labelAll(domain);
      held.taken = 1;
      return labelled;
    },
    labelOwn: (domain, own) => dac.labelOwn(domain, own),
    restorePath: (domain, path) => dac.restorePath(domain, path),
    restoreAll: async (domain, how) => {
      held.taken = 0;
      await dac.restoreAll(domain, how);
    },
    release: async () => {
      held.taken = 0;
    },
    ...(failing in noLabels ? { [failing]: refuse } : {}),
  };
  const { host } = world;
  const made: GuestHost = {
    ...host,
    qemuUser: user,
    security,
    faults: (point) => {
      if (point === faultAt) throw new Error(`fault at ${point}`);
    },
    ...(failing === 'register' ? { locks: new Proxy(host.locks, { get: withRefusal('register', refuse) }) } : {}),
    ...(failing === 'create' ? { statuses: new Proxy(host.statuses, { get: withRefusal('create', refuse) }) } : {}),
  };
  return { host: made, held, remembered: () => readdirSync(join(folder, 'labels')) };
}

/** One method refuses, the others are the object's own. */
function withRefusal(method: string, refuse: () => Promise<never>) {
  return <T extends object>(target: T, name: string | symbol): unknown => {
    if (name === method) return refuse;
    const value: unknown = Reflect.get(target, name, target);
    return typeof value === 'function' ? value.bind(target) : value;
  };
}

const start = async (host: GuestHost, incoming = false) =>
  startGuest(host, {
    placed: await world.host.displays.place(await definitionOf(world.host, disk)),
    incoming,
    persistent: false,
    state: { state: 'paused', reason: 'user' },
    migration: null,
  });

const ownerNow = () => {
  const { uid, gid } = lstatSync(disk);
  return { uid, gid };
};

// Giving files away takes root, as on a host.
describe.runIf(process.getuid?.() === 0)('the labels of a start', () => {
  it.each(['labelAll', 'labelOwn', 'labelImageFd', 'execLabels', 'labelsOf', 'socketMaker', 'create', 'register'] as const)(
    'I6: are as before when %s fails',
    async (failing) => {
      const { host, held, remembered } = hostWith(failing);
      await expect(start(host)).rejects.toThrow(`${failing} fails`);
      expect([ownerNow(), held.taken, remembered()]).toEqual([owner, 0, []]);
      expect(await world.leftovers()).toEqual([]);
    },
  );

  it.each(['D4', 'D5', 'D6', 'D7'])('I6: are as before after a fault at %s', async (point) => {
    const { host, held, remembered } = hostWith('nothing', point);
    await expect(start(host)).rejects.toThrow(`fault at ${point}`);
    expect([ownerNow(), held.taken, remembered()]).toEqual([owner, 0, []]);
    expect(await world.leftovers()).toEqual([]);
  });

  it('I6: are as before when QEMU refuses its disk', async () => {
    const { host, held, remembered } = hostWith('nothing');
    const first = await start(host);
    const other = hostWith('nothing');
    const definition = await definitionOf(world.host, disk, '6f3c9a52-0000-4a7b-8c55-0f9b3f1d2e11');
    const o = {
      placed: await world.host.displays.place(definition),
      incoming: false,
      persistent: false,
      state: { state: 'paused', reason: 'user' },
      migration: null,
    } as const;
    await expect(startGuest(other.host, o)).rejects.toMatchObject({ code: 'domain-elsewhere' });
    expect([ownerNow(), other.held.taken]).toEqual([user, 0]);
    expect(remembered(), 'the disk is the first one’s still').toEqual([`${uuid}.json`]);
    await first.kill();
    await first.dispose({ migrated: false });
    expect([ownerNow(), held.taken, remembered()]).toEqual([owner, 0, []]);
  });

  it('S18: stay on the disks of a guest that was to come in, whose source goes on writing; the guest of that host keeps its owner once', async () => {
    const { host, held, remembered } = hostWith('nothing', 'D7');
    chownSync(disk, user.uid, user.gid);
    await expect(start(host, true)).rejects.toThrow('fault at D7');
    expect([ownerNow(), held.taken, remembered()], 'it had no other owner here').toEqual([user, 0, []]);
  });

  it('are given back by whoever finds a start that its agent did not survive', async () => {
    const { host, held, remembered } = hostWith('nothing');
    const definition = await definitionOf(world.host, disk);
    await host.security.labelAll({
      ...{ uuid, name: 'spec', emulated: true, secLabels: [], shared: [], readable: [], created: [], connected: [] },
      writable: [disk],
    });
    expect(ownerNow()).toEqual(user);
    await disposeUnstarted(host, definition, { migrated: false });
    expect([ownerNow(), held.taken, remembered()]).toEqual([owner, 0, []]);
  });
});

describe.runIf(process.getuid?.() === 0)('threat 14: the QEMU of a guest', () => {
  it('threat 14: is an unprivileged user in every thread, filtered, with its own files open and no others', async () => {
    const { host } = hostWith('nothing');
    const guest = await start(host);
    const { pid } = guest.status.process;
    const threads = readdirSync(`/proc/${pid}/task`);
    expect(threads.length).toBeGreaterThan(1);
    for (const thread of threads) {
      const fact = (name: string) =>
        new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, 'm').exec(readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8'))?.[1];
      for (const [name, id] of [
        ['Uid', user.uid],
        ['Gid', user.gid],
      ] as const)
        expect(fact(name)?.split('\t')).toEqual(Array(4).fill(`${id}`));
      expect([fact('Groups'), fact('NoNewPrivs'), fact('Seccomp')]).toEqual(['', '1', '2']);
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) expect(fact(set)).toBe('0'.repeat(16));
    }
    const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
    const files = open.filter((path) => path.startsWith('/') && !/^\/(dev\/(null|urandom)$|memfd:)/.test(path));
    const locks = files.filter((path) => path.startsWith(join(folder, 'state', 'locks')));
    expect(locks, 'the live lock').toHaveLength(1);
    const others = new Set(files.filter((path) => !locks.includes(path)));
    expect([...others].sort()).toEqual([disk, guest.status.logPath].sort());
    await guest.kill();
    await guest.dispose({ migrated: false });
  });

  it('threat 14: opens no file of the host, and runs no program: it is ended before', async () => {
    const { host } = hostWith('nothing');
    const guest = await start(host);
    const secret = join(folder, 'secret');
    const proof = join(guest.status.runtimeDir, 'proof');
    writeFileSync(secret, 'secret', { mode: 0o600 });
    const opening = { 'driver': 'file', 'node-name': 'secret', 'filename': secret };
    await expect(guest.qmp.executeUntyped('blockdev-add', opening)).rejects.toThrow(/Permission denied/);
    await expect(guest.qmp.executeUntyped('migrate', { uri: `exec:touch ${proof}` })).rejects.toMatchObject({
      code: 'guest-gone',
    });
    await guest.exited;
    expect(existsSync(proof)).toBe(false);
    await guest.dispose({ migrated: false });
    expect(await world.leftovers()).toEqual([]);
  });
});

it('a label that the definition names is given or refused, never left out', async () => {
  const definition = await definitionOf(world.host);
  const label = { type: 'static', model: 'selinux', relabel: false, label: 'u:r:svirt_t:s0:c1,c2' } as const;
  const o = { incoming: false, persistent: false, state: { state: 'paused', reason: 'user' }, migration: null } as const;
  const wanting = await world.host.displays.place({ ...definition, secLabels: [label] });
  await expect(startGuest(world.host, { ...o, placed: wanting })).rejects.toMatchObject({
    code: 'label-failed',
    data: { model: 'selinux' },
  });
  expect(await world.leftovers()).toEqual([]);
});
