import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ResourceId } from '../lock-driver.js';
import { SanlockHosts } from '../testing/sanlock-hosts.js';
import type { SanlockLocks } from './sanlock-locks.js';

const uuids = [
  'aaaaaaaa-0000-4000-8000-000000000001',
  'bbbbbbbb-0000-4000-8000-000000000002',
  'cccccccc-0000-4000-8000-000000000003',
];
const vm = '11111111-2222-3333-4444-555555555555';
const resources: readonly ResourceId[] = [{ kind: 'vm', key: vm }];
/** With the I/O timeout of the tests sanlock gives a host 68 s. */
const deathMsMax = 110_000;

let hosts: SanlockHosts;
beforeAll(async () => {
  hosts = await SanlockHosts.start(uuids);
}, 60_000);
afterAll(() => hosts.close());

async function guestOf(host: number): Promise<SanlockLocks> {
  const driver = await hosts.locksOf(host);
  await driver.register(vm, (await hosts.guest(driver)).pid);
  return driver;
}

describe('a host that is dead', () => {
  it('threat 18: keeps its lease until sanlock knows of its death, whatever the proof; then it is broken, or taken, at its epoch alone', {
    timeout: deathMsMax + 30_000,
  }, async () => {
    const [one, other] = [await guestOf(0), await guestOf(1)];
    const taken = await one.acquire(vm, resources);
    await hosts.kill(0);
    await expect(other.acquire(vm, resources)).rejects.toMatchObject({ code: 'lease-busy', data: { owner: uuids[0] } });
    const broken = (epoch: string) => other.breakLock(vm, resources, epoch, { t: 'watchdog', by: 'wdmd' }, 'root');
    await expect(broken('1')).rejects.toMatchObject({ code: 'lease-busy' });
    const codeOf = () => other.acquire(vm, resources, { ...taken, grants: [] }).catch((error: { code?: string }) => error.code);
    // Only sanlock knows when: the rule then finds nobody, and another epoch than the none that was expected.
    await expect.poll(codeOf, { timeout: deathMsMax, interval: 1_000 }).toBe('lease-stale');
    await expect(broken('2')).rejects.toMatchObject({ code: 'lease-stale' });
    const freed = await broken('1');
    expect(freed.grants[0]?.epoch).toBe('2');
    await expect(other.acquire(vm, resources, taken)).rejects.toMatchObject({ code: 'lease-stale' });
    expect((await other.acquire(vm, resources, freed)).grants[0]?.epoch).toBe('3');
  });

  it('and is back again has lost what it had: another host gets it', { timeout: deathMsMax }, async () => {
    const driver = await hosts.locksOf(1);
    const disk: readonly ResourceId[] = [{ kind: 'disk', key: 'd' }];
    await driver.register(vm, (await hosts.guest(driver)).pid);
    await driver.acquire(vm, disk);
    await hosts.kill(1);
    const other = await guestOf(2);
    await expect(other.acquire(vm, disk)).rejects.toMatchObject({ code: 'lease-busy' });
    await hosts.revive(1);
    // The daemons see each other at their renewals.
    const epoch = () =>
      other.acquire(vm, disk).then(
        ({ grants }) => grants[0]?.epoch,
        () => null,
      );
    await expect.poll(epoch, { timeout: 30_000 }).toBe('2');
  });
});
