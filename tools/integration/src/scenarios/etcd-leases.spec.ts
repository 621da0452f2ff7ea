import { VmferryError } from '@vmferry/errors';
import { EtcdServers } from '@vmferry/locking/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { expectProblem } from '../steps/ask.js';
import { ByHand } from '../steps/by-hand.js';
import { eventually } from '../world/eventually.js';
import { mainModes, migrate } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

const servers = await EtcdServers.start(1);
afterAll(() => servers.close());

const host = { lockDriver: 'etcd', etcd: servers.endpoints } as const;
const inWorld = sharedWorld({ hosts: { a: host, b: host } });

/** Who owns the guest's lease by the etcd, and at which epoch: what a third host is told that wants it. */
async function leaseOf(world: World): Promise<{ owner: string; epoch: number }> {
  const third = servers.locksOf('a-third-host', '/vmferry/leases/');
  const refused: unknown = await third.acquire(world.uuid, [{ kind: 'vm', key: world.uuid }]).catch((error: unknown) => error);
  if (!(refused instanceof VmferryError) || refused.code !== 'lease-busy') throw new Error('The lease has no owner.');
  const { owner, epoch } = refused.data as { owner: string; epoch: string };
  return { owner, epoch: Number(epoch) };
}

describe.each(mainModes)('leases in an etcd, %s', (mode) => {
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

describe('a guest whose lease another host has', () => {
  it.each(['at once', 'when its agent is back'])(
    'I1, threat 18: a lease that was broken by a wrong word: the guest is stopped %s, and runs on once it is free',
    (when) =>
      inWorld(async (world) => {
        const resources = [{ kind: 'vm', key: world.uuid }] as const;
        const third = servers.locksOf('a-third-host', '/vmferry/leases/');
        const { epoch } = await leaseOf(world);
        if (when !== 'at once') await world.here.source.kill();
        await third.breakLock(world.uuid, resources, String(epoch), { t: 'operator', statement: 'a wrong word' }, 'root');
        await third.acquire(world.uuid, resources);
        if (when !== 'at once') await world.here.source.start();
        const agent = world.here.sourceClient();
        await eventually(async () => expect((await agent.domain(world.uuid)).state).toBe('paused'));
        expect((await agent.domain(world.uuid)).warning).toMatch(/lease of this guest is lost/);
        await expect(agent.resume(world.uuid)).rejects.toMatchObject({ code: 'lease-busy' });
        await third.release(world.uuid, resources);
        await agent.resume(world.uuid);
        await world.moreTicks();
        await expectSettled(world, migrate(world, { mode: 'p2p-tunnelled' }), 'destination');
      }),
  );
});

describe('an etcd that is out', () => {
  it('keeps no guest from running, and begins no migration', () =>
    inWorld(async (world) => {
      await servers.kill(0);
      try {
        expectProblem(await new ByHand(world).begin(), 503, 'lease-unavailable');
        await world.moreTicks();
      } finally {
        await servers.run(0);
      }
      await expectSettled(world, migrate(world, { mode: 'p2p-tunnelled' }), 'destination');
    }));

  it('S23: at Finish leaves the record open and neither host running, until the etcd is back and decides', () =>
    inWorld(async (world) => {
      const before = await leaseOf(world);
      const hand = await new ByHand(world).upTo('perform');
      await servers.kill(0);
      const finish = await hand.finish();
      expectProblem(finish, 409, 'migration-undecided');
      expect(finish.body.data).toEqual({ outcome: 'open', held: 'lease-unavailable' });
      expect((await world.there.destinationClient().migration(hand.id)).outcome).toBe('open');
      await servers.run(0);
      await eventually(async () => expect((await hand.finish()).status).toBe(200));
      expect((await hand.confirm()).status).toBe(200);
      world.here = world.there;
      await world.moreTicks();
      expect((await leaseOf(world)).owner).not.toBe(before.owner);
    }));
});
