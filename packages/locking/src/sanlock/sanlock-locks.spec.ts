import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@vmferry/seams';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type LeaseHandover, reclaimLease, returnLease, takeLease } from '../handover.js';
import type { LockState } from '../lock-driver.js';
import { lockDriverContract } from '../lock-driver-contract.js';
import { SanlockHosts } from '../testing/sanlock-hosts.js';
import { SanlockLocks, type SanlockOptions } from './sanlock-locks.js';

const uuids = ['aaaaaaaa-0000-4000-8000-000000000001', 'bbbbbbbb-0000-4000-8000-000000000002'];
const [A = '', B = ''] = uuids;
const vm = '11111111-2222-3333-4444-555555555555';
const resources = [{ kind: 'vm', key: vm }] as const;

let hosts: SanlockHosts;
let guests: { end(): Promise<void> }[] = [];
beforeAll(async () => {
  hosts = await SanlockHosts.start(uuids);
}, 60_000);
afterAll(() => hosts.close());
beforeEach(async () => {
  for (const guest of guests) await guest.end();
  guests = [];
  rmSync(join(hosts.folder, 'leases'), { recursive: true, force: true });
});

/** The driver of a host with one guest: its process registered itself, and the driver was told so. */
async function host(index: number): Promise<{ driver: SanlockLocks; pid: number; end: () => Promise<void> }> {
  const driver = await hosts.locksOf(index);
  const guest = await hosts.guest(driver);
  guests.push(guest);
  await driver.register(vm, guest.pid);
  return { driver, pid: guest.pid, end: () => guest.end() };
}

const epochOf = (state: LockState): string | undefined => state.grants[0]?.epoch;

describe('the lock driver contract: sanlock', { timeout: 30_000 }, () => {
  const traits = { owns: true, hosts: 2, transfers: false, knowsTheLiving: true };
  const applying = lockDriverContract.filter(({ applies }) => applies(traits));

  it('is checked in full', () => {
    expect(applying).toHaveLength(lockDriverContract.length - 5);
  });

  it.each(applying)('$name', async ({ run }) => {
    const both = [await host(0), await host(1)];
    await run({
      hosts: both.map(({ driver }, index) => ({ uuid: uuids[index] ?? '', driver })),
      restart: async (index) => {
        const again = await hosts.locksOf(index);
        await again.register(vm, both[index]?.pid ?? 0);
        return again;
      },
      traits,
    });
  });
});

describe('a handover with sanlock', { timeout: 30_000 }, () => {
  const handover = (offered: LockState): LeaseHandover => ({
    vm,
    resources,
    source: A,
    destination: B,
    migrationId: 'm1',
    offered,
  });

  it('S22: the destination gets the lease once the source has freed it, at the epoch of the cookie, and again changes nothing', async () => {
    const [a, b] = [await host(0), await host(1)];
    const offered = await a.driver.acquire(vm, resources);
    await expect(takeLease(b.driver, handover(offered))).rejects.toMatchObject({ code: 'lease-busy', data: { owner: A } });
    expect(await a.driver.release(vm, resources)).toEqual(offered);
    const taken = await takeLease(b.driver, handover(offered));
    expect(epochOf(taken)).toBe('2');
    expect(await takeLease(b.driver, handover(offered))).toEqual(taken);
    await expect(reclaimLease(a.driver, vm, resources, offered)).rejects.toMatchObject({ code: 'lease-busy' });
  });

  it('S47: what was given back can be finished after all, until the source has reclaimed it', async () => {
    const [a, b] = [await host(0), await host(1)];
    const offered = await a.driver.acquire(vm, resources);
    await a.driver.release(vm, resources);
    for (const epoch of ['2', '3']) {
      expect(epochOf(await takeLease(b.driver, handover(offered)))).toBe(epoch);
      expect(epochOf(await returnLease(b.driver, handover(offered)))).toBe(epoch);
    }
    const returned = await returnLease(b.driver, handover(offered));
    await expect(reclaimLease(a.driver, vm, resources, offered)).rejects.toMatchObject({ code: 'lease-stale' });
    expect(epochOf(await reclaimLease(a.driver, vm, resources, returned))).toBe('4');
    await expect(takeLease(b.driver, handover(offered))).rejects.toMatchObject({ code: 'lease-busy' });
    await a.driver.release(vm, resources);
    await expect(takeLease(b.driver, handover(offered))).rejects.toMatchObject({ code: 'lease-stale' });
  });

  it('gives nothing back that it did not take', async () => {
    const [a, b] = [await host(0), await host(1)];
    const offered = await a.driver.acquire(vm, resources);
    expect(await returnLease(b.driver, handover(offered))).toEqual(offered);
    expect((await a.driver.inquire(vm, resources)).heldByMe).toBe(true);
  });
});

describe('leases of sanlock', { timeout: 30_000 }, () => {
  it('end with the guest, and its host and others get them at the epoch that it left', async () => {
    const [a, b] = [await host(0), await host(1)];
    const taken = await a.driver.acquire(vm, resources);
    await a.end();
    const next = await host(0);
    const again = await next.driver.acquire(vm, resources, taken);
    expect(epochOf(again)).toBe('2');
    await next.end();
    await expect.poll(() => b.driver.acquire(vm, resources, again).then(epochOf, () => null), { timeout: 10_000 }).toBe('3');
  });

  it('I1: of two guests of one host one has it', async () => {
    const [one, other] = [await host(0), await host(0)];
    const taken = await one.driver.acquire(vm, resources);
    await expect(other.driver.acquire(vm, resources)).rejects.toMatchObject({ code: 'lease-unavailable' });
    expect(await other.driver.inquire(vm, resources)).toEqual({ state: taken, heldByMe: false });
    expect(await one.driver.inquire(vm, resources)).toEqual({ state: taken, heldByMe: true });
  });

  it('are not had by a process that did not register itself', async () => {
    const { driver } = await host(0);
    await driver.register(vm, process.pid);
    await expect(driver.acquire(vm, resources)).rejects.toMatchObject({ code: 'lease-unavailable', data: { pid: process.pid } });
  });

  it('are not taken for 0 resources and more than 8', async () => {
    const { driver } = await host(0);
    for (const count of [0, 9]) {
      const many = Array.from({ length: count }, (_, index) => ({ kind: 'disk', key: String(index) }) as const);
      await expect(driver.acquire(vm, many)).rejects.toMatchObject({ code: 'invalid-argument' });
    }
  });
});

describe('opening', { timeout: 30_000 }, () => {
  const open = (more: Partial<SanlockOptions>) =>
    SanlockLocks.open({
      ...{ folder: hosts.folder, hostId: 1, runDir: hosts.runDirOf(0), allowNoWatchdog: true, hostUuid: A, clock: systemClock },
      ...more,
    });

  it('requires the watchdog unless it is told to go without', async () => {
    await expect(open({ allowNoWatchdog: false })).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(/watchdog/) as unknown,
    });
    expect((await open({})).fences).toBe('none');
  });

  it('refuses a host id that another host has', async () => {
    await expect(open({ hostUuid: B })).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(A) as unknown,
    });
  });

  it.each([
    ['a folder that is not there', { folder: '/nowhere/at/all' }, 'lease-unavailable'],
    ['a folder with a colon', { folder: '/a:b' }, 'invalid-argument'],
    ['a relative folder', { folder: 'a' }, 'invalid-argument'],
    ['host id 0', { hostId: 0 }, 'invalid-argument'],
    ['host id 2001', { hostId: 2_001 }, 'invalid-argument'],
    ['a daemon that is not there', { runDir: '/nowhere' }, 'lease-unavailable'],
  ])('refuses %s', async (_, more, code) => {
    await expect(open(more)).rejects.toMatchObject({ code });
  });
});
