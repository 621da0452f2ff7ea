import { VmferryError } from '@vmferry/errors';
import { afterEach, describe, expect, it } from 'vitest';
import { EtcdServers } from '../testing/etcd-servers.js';
import type { EtcdLocks } from './etcd-locks.js';

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

  it('I4: five hosts and members that are paused and killed: never two owners, never one epoch twice', {
    timeout: 120_000,
  }, async () => {
    cluster = await EtcdServers.start(3);
    const servers = cluster;
    const history = new History();
    let over = false;
    const hosts = Array.from({ length: 5 }, async (_, host) => {
      const locks = locksOf(servers, host);
      while (!over) await history.tenure(locks, `host-${host}`);
    });
    for (const [index, how] of [
      [0, 'paused'],
      [1, 'killed'],
      [2, 'paused'],
      [0, 'killed'],
    ] as const) {
      await history.tenures(history.count + 15);
      if (how === 'killed') await servers.kill(index);
      else servers.signal(index, 'SIGSTOP');
      await history.tenures(history.count + 15);
      if (how === 'killed') await servers.run(index);
      else servers.signal(index, 'SIGCONT');
    }
    over = true;
    await Promise.all(hosts);
    expect(history.overlaps).toEqual([]);
    expect(new Set(history.epochs).size).toBe(history.epochs.length);
    expect(history.epochs.length).toBeGreaterThanOrEqual(120);
  });
});

/** What happened, on the one clock of this process: a tenure lasts from the answer to `acquire` until `release` is asked. */
class History {
  readonly epochs: string[] = [];
  readonly overlaps: string[] = [];
  readonly #owners = new Set<string>();
  readonly #waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  get count(): number {
    return this.epochs.length;
  }

  /** One try to own the lease, have it for a moment and let it go again. */
  async tenure(locks: EtcdLocks, host: string): Promise<void> {
    const state = await locks.acquire(vm, resources).catch(unlessRefused);
    if (state === null) return;
    if (this.#owners.size > 0) this.overlaps.push(`${host} beside ${[...this.#owners].join()}`);
    this.#owners.add(host);
    this.epochs.push(state.grants[0]?.epoch ?? '');
    for (const waiting of this.#waiting) if (this.count >= waiting.count) waiting.resolve();
    await locks.inquire(vm, resources).catch(unlessRefused);
    this.#owners.delete(host);
    // Until this host knows that it is free again, nobody else has it: it is asked again and again.
    while ((await locks.release(vm, resources).catch(unlessRefused)) === null);
  }

  tenures(count: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.count >= count) resolve();
      else this.#waiting.push({ count, resolve });
    });
  }
}

function unlessRefused(thrown: unknown): null {
  if (thrown instanceof VmferryError && (thrown.code === 'lease-busy' || thrown.code === 'lease-unavailable')) return null;
  throw thrown;
}

/** An election takes its time: asked until the cluster has a leader. */
async function untilServed<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    const answer = await ask().catch(unlessRefused);
    if (answer !== null) return answer;
  }
}
