import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lockDriverContract } from '../lock-driver-contract.js';
import { EtcdServers } from '../testing/etcd-servers.js';
import { EtcdStore } from './etcd-store.js';

const uuids = ['aaaaaaaa-0000-4000-8000-000000000001', 'bbbbbbbb-0000-4000-8000-000000000002'];
const vm = '11111111-2222-3333-4444-555555555555';
const resources = [{ kind: 'vm', key: vm }] as const;

let servers: EtcdServers;
let worlds = 0;
beforeAll(async () => {
  servers = await EtcdServers.start(1);
}, 60_000);
afterAll(() => servers.close());

describe('the lock driver contract: etcd', () => {
  const traits = { owns: true, hosts: 2, transfers: true, knowsTheLiving: false };
  const applying = lockDriverContract.filter(({ applies }) => applies(traits));

  it('is checked in full, but for what only a driver that knows the living must do', () => {
    expect(applying).toHaveLength(lockDriverContract.length - 1);
  });

  it.each(applying)('$name', async ({ run }) => {
    const prefix = `/contract/${worlds++}/`;
    await run({
      hosts: uuids.map((uuid) => ({ uuid, driver: servers.locksOf(uuid, prefix) })),
      restart: (host) => Promise.resolve(servers.locksOf(uuids[host] ?? '', prefix)),
      traits,
    });
  });
});

describe('leases in an etcd', () => {
  it('S23: carry their epochs in the state, which the other host must know', async () => {
    const [source, destination] = uuids.map((uuid) => servers.locksOf(uuid, '/s23/'));
    const state = await source?.acquire(vm, resources);
    expect(state).toEqual({ driver: 'etcd', v: 1, grants: [{ key: `vm:${vm}`, epoch: '1' }] });
    const before = { driver: 'etcd', v: 1, grants: [{ key: `vm:${vm}`, epoch: '0' }] } as const;
    const from = { host: uuids[0] ?? '', state: before };
    await expect(destination?.transfer(vm, resources, from, uuids[1] ?? '', 'm1')).rejects.toMatchObject({ code: 'lease-stale' });
  });

  it('are kept apart by the prefix', async () => {
    const [one, other] = [servers.locksOf(uuids[0] ?? '', '/site-a/'), servers.locksOf(uuids[1] ?? '', '/site-b/')];
    await one.acquire(vm, resources);
    expect((await other.acquire(vm, resources)).grants[0]?.epoch).toBe('1');
  });

  it.each([0, 65])('are not taken for %i resources', async (count) => {
    const many = Array.from({ length: count }, (_, index) => ({ kind: 'disk', key: String(index) }) as const);
    await expect(servers.locksOf(uuids[0] ?? '', '/many/').acquire(vm, many)).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  it('are refused when a record cannot be read', async () => {
    const store = new EtcdStore({ endpoints: servers.endpoints, prefix: '/broken/', tls: null });
    await store.exchange([{ key: `vm:${vm}`, seen: { text: null, revision: '0' }, text: '{"version":2}' }]);
    await expect(servers.locksOf(uuids[0] ?? '', '/broken/').acquire(vm, resources)).rejects.toMatchObject({
      code: 'lease-unavailable',
    });
  });
});

describe('an etcd that is out', () => {
  it('refuses everything and keeps every lease', { timeout: 60_000 }, async () => {
    const own = await EtcdServers.start(1);
    try {
      const locks = own.locksOf(uuids[0] ?? '', '/out/');
      const taken = await locks.acquire(vm, resources);
      await own.kill(0);
      for (const attempt of [locks.acquire(vm, resources), locks.release(vm, resources), locks.inquire(vm, resources)])
        await expect(attempt).rejects.toMatchObject({ code: 'lease-unavailable' });
      await own.run(0);
      expect(await locks.inquire(vm, resources)).toEqual({ state: taken, heldByMe: true });
    } finally {
      await own.close();
    }
  });
});
