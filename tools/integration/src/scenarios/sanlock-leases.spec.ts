import type { PerformReply } from '@vmferry/api';
import { VmferryError } from '@vmferry/errors';
import { SanlockHosts } from '@vmferry/locking/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { expectProblem } from '../steps/ask.js';
import { ByHand } from '../steps/by-hand.js';
import { eventually } from '../world/eventually.js';
import { mainModes, migrate } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

/** The third one only looks, and wants what it may not have. */
const hosts = await SanlockHosts.start(['host-a', 'host-b', 'a-third-host']);
const third = await hosts.locksOf(2);
const wanting = await hosts.guest(third);
afterAll(() => hosts.close());

const optionsOf = (index: number) =>
  ({
    lockDriver: 'sanlock',
    sanlock: { folder: hosts.folder, hostId: index + 1, runDir: hosts.runDirOf(index) },
  }) as const;

const inWorld = sharedWorld(() => {
  hosts.forgetHosts();
  return { hosts: { a: optionsOf(0), b: optionsOf(1) } };
});

/** Who owns the guest's lease by sanlock, and at which epoch: what a third host is told that wants it. */
async function leaseOf(world: World): Promise<{ owner: string; epoch: number }> {
  await third.register(world.uuid, wanting.pid);
  const refused: unknown = await third.acquire(world.uuid, [{ kind: 'vm', key: world.uuid }]).catch((error: unknown) => error);
  if (!(refused instanceof VmferryError) || refused.code !== 'lease-busy')
    throw new Error('The lease has no owner.', { cause: refused });
  const { owner, epoch } = refused.data as { owner: string; epoch: string };
  return { owner, epoch: Number(epoch) };
}

describe.each(mainModes)('leases of sanlock, %s', (mode) => {
  it(`S23: ${mode}: the lease goes with the guest, there and back, and its epoch grows`, () =>
    inWorld(async (world) => {
      const before = await leaseOf(world);
      await expectSettled(world, migrate(world, { mode }), 'destination');
      const there = await leaseOf(world);
      expect(there.owner).not.toBe(before.owner);
      expect(there.epoch).toBeGreaterThan(before.epoch);
      await expectSettled(world, migrate(world, { mode }), 'destination');
      const back = await leaseOf(world);
      expect(back.owner).toBe(before.owner);
      expect(back.epoch).toBeGreaterThan(there.epoch);
    }));
});

describe('a lease that is freed and taken', () => {
  it('S22, S23: is free from completed on; with a third host that takes it the destination refuses Finish and the source goes on once it is free', () =>
    inWorld(async (world) => {
      const before = await leaseOf(world);
      const hand = await new ByHand(world).upTo('prepare');
      expect(await leaseOf(world)).toEqual(before);
      hand.performed = (await hand.perform()).body as PerformReply;
      const resources = [{ kind: 'vm', key: world.uuid }] as const;
      const taken = await third.acquire(world.uuid, resources);
      expect(Number(taken.grants[0]?.epoch)).toBe(before.epoch + 1);
      const ticks = world.ticks.length;
      const finish = await hand.finish();
      expect([finish.status, finish.body.code]).toEqual([409, 'migration-undecided']);
      const confirmed = hand.confirm();
      expect(world.ticks.length, 'neither copy runs while a third host has the lease').toBe(ticks);
      await third.release(world.uuid, resources);
      await world.moreTicks();
      await confirmed;
      await eventually(async () => expect((await leaseOf(world)).owner).toBe(before.owner));
      expect((await world.there.destinationClient().migration(hand.id)).outcome).toBe('aborted');
    }));
});

describe('a daemon that is gone', () => {
  it('keeps the guest of its host running, and begins no migration', () =>
    inWorld(async (world) => {
      await hosts.kill(world.here === world.a ? 0 : 1);
      expectProblem(await new ByHand(world).begin(), 503, 'lease-unavailable');
      await world.moreTicks();
    }));
});
