import { afterEach, describe, expect, it } from 'vitest';
import { EtcdServers } from '../testing/etcd-servers.js';
import { LeaseHistory, unlessRefused } from '../testing/lease-history.js';

const vm = '11111111-2222-3333-4444-555555555555';
const resources = [
  { kind: 'vm', key: vm },
  { kind: 'disk', key: 'a' },
] as const;

let cluster: EtcdServers | undefined;
afterEach(async () => {
  await cluster?.close();
  cluster = undefined;
});

/** Each host asks another member first. */
const locksOf = (servers: EtcdServers, host: number) => servers.locksOf(`host-${host}`, '/cluster/', host % 3);

describe('an etcd of three members', () => {
  it.each(['killed', 'paused'] as const)('serves on with one %s, and knows every lease', { timeout: 60_000 }, async (how) => {
    cluster = await EtcdServers.start(3);
    const [one, other] = [locksOf(cluster, 0), locksOf(cluster, 1)];
    const taken = await one.acquire(vm, resources);
    if (how === 'killed') await cluster.kill(0);
    else cluster.signal(0, 'SIGSTOP');
    await untilServed(() => one.inquire(vm, resources));
    await expect(other.acquire(vm, resources)).rejects.toMatchObject({ code: 'lease-busy' });
    const moved = await other.transfer(vm, resources, { host: 'host-0', state: taken }, 'host-1', 'm1');
    // What the member that was away has on disk is old: it must not say so.
    if (how === 'killed') await cluster.run(0);
    else cluster.signal(0, 'SIGCONT');
    expect(await untilServed(() => one.inquire(vm, resources))).toEqual({ state: moved, heldByMe: false });
  });

  it.each([0, 1, 2])(
    'serves on with member %i cut off from the others, which says nothing of what it knew',
    { timeout: 60_000 },
    async (gone) => {
      cluster = await EtcdServers.start(3);
      const [one, other] = [locksOf(cluster, gone), locksOf(cluster, gone + 1)];
      const alone = cluster.locksOf('host-x', '/cluster/', gone, 1);
      const taken = await one.acquire(vm, resources);
      cluster.cutOff(gone);
      await untilServed(() => one.inquire(vm, resources));
      // Its clients reach it: it still runs, and must not answer from what it has.
      for (const attempt of [alone.inquire(vm, resources), alone.acquire(vm, resources)])
        await expect(attempt).rejects.toMatchObject({ code: 'lease-unavailable' });
      const from = { host: `host-${gone}`, state: taken };
      const moved = await untilServed(() => other.transfer(vm, resources, from, `host-${gone + 1}`, 'm1'));
      cluster.cutOff(null);
      expect(await untilServed(() => alone.inquire(vm, resources))).toEqual({ state: moved, heldByMe: false });
      await expect(alone.acquire(vm, resources)).rejects.toMatchObject({ code: 'lease-busy' });
    },
  );

  it('refuses everything without a majority, and goes on with it', { timeout: 60_000 }, async () => {
    cluster = await EtcdServers.start(3);
    const one = locksOf(cluster, 0);
    const taken = await one.acquire(vm, resources);
    await cluster.kill(1);
    await cluster.kill(2);
    await expect(one.acquire(vm, resources)).rejects.toMatchObject({ code: 'lease-unavailable' });
    await cluster.run(1);
    const { state } = await untilServed(() => one.inquire(vm, resources));
    // The acquire that was refused may have been kept by the member that lives, and be carried out with the majority: it is this host's all the same.
    expect([taken.grants[0]?.epoch, '2']).toContain(state.grants[0]?.epoch);
    expect((await one.acquire(vm, resources, state)).grants.map(({ epoch }) => BigInt(epoch))).toEqual(
      state.grants.map(({ epoch }) => BigInt(epoch) + 1n),
    );
  });

  it('I4: five hosts and members that are paused, killed and cut off: never two owners, never one epoch twice', {
    timeout: 120_000,
  }, async () => {
    cluster = await EtcdServers.start(3);
    const servers = cluster;
    const history = new LeaseHistory(resources);
    const hosts = Array.from({ length: 5 }, (_, host) => {
      const client = { locks: locksOf(servers, host), lives: () => true };
      return history.lives(`host-${host}`, () => Promise.resolve(client));
    });
    for (const [index, how] of [
      [0, 'paused'],
      [1, 'killed'],
      [2, 'paused'],
      [1, 'cut off'],
      [0, 'killed'],
      [2, 'cut off'],
    ] as const) {
      await history.tenures(15);
      if (how === 'killed') await servers.kill(index);
      else if (how === 'paused') servers.signal(index, 'SIGSTOP');
      else servers.cutOff(index);
      await history.tenures(15);
      if (how === 'killed') await servers.run(index);
      else if (how === 'paused') servers.signal(index, 'SIGCONT');
      else servers.cutOff(null);
    }
    history.end();
    await Promise.all(hosts);
    expect(history.overlaps).toEqual([]);
    expect(new Set(history.epochs).size).toBe(history.epochs.length);
    expect(history.epochs.length).toBeGreaterThanOrEqual(180);
  });
});

/** An election takes its time: asked until the cluster has a leader. */
async function untilServed<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    const answer = await ask().catch(unlessRefused);
    if (answer !== null) return answer;
  }
}
