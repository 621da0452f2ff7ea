import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@vmferry/seams';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EmbeddedLocks } from './embedded.js';
import type { LockDriver, LockState } from './lock-driver.js';
import { type ContractTraits, type ContractWorld, lockDriverContract } from './lock-driver-contract.js';
import { noLocks } from './none.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'locking-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const hostUuids = ['aaaaaaaa-0000-4000-8000-000000000001', 'bbbbbbbb-0000-4000-8000-000000000002'];

const traits = {
  host: { owns: true, hosts: 1, transfers: false, knowsTheLiving: false },
  shared: { owns: true, hosts: 2, transfers: true, knowsTheLiving: false },
  none: { owns: false, hosts: 2, transfers: false, knowsTheLiving: false },
} satisfies Record<string, ContractTraits>;

async function embeddedWorld(
  scope: 'host' | 'shared',
  wrap: (driver: EmbeddedLocks, hostUuid: string) => LockDriver = (driver) => driver,
): Promise<ContractWorld> {
  const uuids = scope === 'shared' ? hostUuids : hostUuids.slice(0, 1);
  const open = async (hostUuid: string) =>
    wrap(await EmbeddedLocks.open({ folder, scope, hostUuid, clock: systemClock }), hostUuid);
  return {
    hosts: await Promise.all(uuids.map(async (uuid) => ({ uuid, driver: await open(uuid) }))),
    restart: (host) => open(uuids[host] ?? ''),
    traits: traits[scope],
  };
}

function worldWithout(): Promise<ContractWorld> {
  const hosts = hostUuids.map((uuid) => ({ uuid, driver: noLocks }));
  return Promise.resolve({ hosts, restart: () => Promise.resolve(noLocks), traits: traits.none });
}

/** With the number of checks that apply, so that one that stops to apply does not vanish unseen. */
const worlds = [
  { name: 'embedded, scope host', traits: traits.host, checks: 6, open: () => embeddedWorld('host') },
  {
    name: 'embedded, scope shared',
    traits: traits.shared,
    checks: lockDriverContract.length - 1,
    open: () => embeddedWorld('shared'),
  },
  { name: 'none', traits: traits.none, checks: 3, open: worldWithout },
];

describe.each(worlds)('the lock driver contract: $name', ({ traits: of, checks, open }) => {
  const applying = lockDriverContract.filter(({ applies }) => applies(of));

  it('is checked in full', async () => {
    expect(applying).toHaveLength(checks);
    const { hosts } = await open();
    expect({ hosts: hosts.length, transfers: hosts.every(({ driver }) => driver.canTransferAtomically) }).toEqual({
      hosts: of.hosts,
      transfers: of.transfers,
    });
  });

  it.each(applying)('$name', async ({ run }) => run(await open()));
});

/** A driver that does everything as the good one does, but for what `faults` replaces. */
function faulty(driver: LockDriver, faults: Partial<LockDriver>): LockDriver {
  return {
    name: driver.name,
    usesState: driver.usesState,
    canTransferAtomically: driver.canTransferAtomically,
    fences: driver.fences,
    launcher: driver.launcher,
    liveLock: (...given) => driver.liveLock(...given),
    register: (...given) => driver.register(...given),
    acquire: (...given) => driver.acquire(...given),
    release: (...given) => driver.release(...given),
    inquire: (...given) => driver.inquire(...given),
    transfer: (...given) => driver.transfer(...given),
    breakLock: (...given) => driver.breakLock(...given),
    watch: (...given) => driver.watch(...given),
    ...faults,
  };
}

const sameEpochs = (state: LockState): LockState => ({ ...state, grants: state.grants.map(({ key }) => ({ key, epoch: '1' })) });

/** The ways to be wrong that were seen elsewhere, or that the model of the handover found deadly. */
const mistakes: Record<string, (driver: EmbeddedLocks, hostUuid: string) => Partial<LockDriver>> = {
  'ignores that another holds it': (driver) => ({
    acquire: (vm, resources, expect) =>
      driver.acquire(vm, resources, expect).catch(async (error: unknown) => {
        if (error instanceof Error && 'code' in error && error.code === 'lease-busy')
          return (await driver.inquire(vm, resources)).state;
        throw error;
      }),
  }),
  'ignores the epoch': (driver) => ({ acquire: (vm, resources) => driver.acquire(vm, resources) }),
  'keeps the epoch': (driver) => ({
    acquire: async (vm, resources, expect) => sameEpochs(await driver.acquire(vm, resources, expect)),
  }),
  'takes a part': (driver) => ({
    acquire: async (vm, resources, expect) => {
      for (const resource of resources) await driver.acquire(vm, [resource], expect);
      return (await driver.inquire(vm, resources)).state;
    },
  }),
  'believes that it holds what it last held': (driver) => ({
    inquire: async (vm, resources) => ({ ...(await driver.inquire(vm, resources)), heldByMe: true }),
  }),
  'moves a lease by freeing and taking it': (driver, hostUuid) => ({
    transfer: async (vm, resources, from, to) => {
      if (to !== hostUuid) return driver.release(vm, resources);
      await driver.breakLock(
        vm,
        resources.slice(0, 1),
        from.state.grants[0]?.epoch ?? '0',
        { t: 'operator', statement: 'x' },
        'x',
      );
      return driver.acquire(vm, resources);
    },
  }),
  'moves a lease anew for each request': (driver) => {
    const requests: string[] = [];
    return {
      transfer: (vm, resources, from, to) => driver.transfer(vm, resources, from, to, `request-${requests.push(vm)}`),
    };
  },
  'frees what another owns': (driver) => ({
    release: async (vm, resources) => {
      for (const resource of resources) {
        const { state } = await driver.inquire(vm, [resource]);
        await driver.breakLock(vm, [resource], state.grants[0]?.epoch ?? '0', { t: 'operator', statement: 'x' }, 'x');
      }
      return (await driver.inquire(vm, resources)).state;
    },
  }),
  'breaks a lease without proof': (driver) => ({
    breakLock: (vm, resources, epoch) => driver.breakLock(vm, resources, epoch, { t: 'operator', statement: 'x' }, 'x'),
  }),
  'never tells of a loss': () => ({ watch: () => ({ [Symbol.dispose]: () => undefined }) }),
  'hands out no real live lock': () => ({ liveLock: () => import('node:fs').then(({ openSync }) => openSync('/dev/null', 'r')) }),
};

describe('the contract', () => {
  const applying = lockDriverContract.filter(({ applies }) => applies(traits.shared));

  it.each(Object.keys(mistakes))('catches a driver that %s', async (mistake) => {
    const caught: string[] = [];
    for (const check of applying) {
      rmSync(folder, { recursive: true, force: true });
      const world = await embeddedWorld('shared', (driver, hostUuid) =>
        faulty(driver, mistakes[mistake]?.(driver, hostUuid) ?? {}),
      );
      const endless = new Promise<never>((_, reject) => setTimeout(() => reject(new Error('it never ends')), 1_000).unref());
      await Promise.race([check.run(world), endless]).catch(() => caught.push(check.name));
    }
    expect(caught).not.toEqual([]);
  });

  it('lets the driver pass that the broken ones are made of', async () => {
    for (const check of applying) {
      rmSync(folder, { recursive: true, force: true });
      await check.run(await embeddedWorld('shared', (driver) => faulty(driver, {})));
    }
  });
});
