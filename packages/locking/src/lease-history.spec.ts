import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep, systemClock } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { EmbeddedLocks } from './embedded.js';
import type { ResourceId } from './lock-driver.js';
import type { SanlockLocks } from './sanlock/sanlock-locks.js';
import { LeaseHistory } from './testing/lease-history.js';
import { SanlockHosts } from './testing/sanlock-hosts.js';

/** The same for an etcd, with its own faults, is in etcd/etcd-cluster.spec.ts. */
const resources: readonly ResourceId[] = [{ kind: 'vm', key: '11111111-2222-3333-4444-555555555555' }];
const clients = 5;

function expectOneOwner({ overlaps, epochs }: LeaseHistory, atLeast: number): void {
  expect(overlaps).toEqual([]);
  expect(new Set(epochs).size).toBe(epochs.length);
  expect(epochs.length).toBeGreaterThanOrEqual(atLeast);
}

/** Far below the 8 s after which sanlock takes its host for dead, at the I/O timeout of 1 s of the tests. */
const pausedMsMax = 2_000;

describe('I4: five hosts and one lease: never two owners, never one epoch twice', () => {
  it('embedded: agents that are restarted, and a disk that fails at every point of a write', { timeout: 60_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'history-'));
    const history = new LeaseHistory(resources);
    let failing: string | null = null;
    const faults = (point: string) => {
      if (point === failing) throw Object.assign(new Error('input/output error'), { code: 'EIO' });
    };
    const open = (hostUuid: string) => EmbeddedLocks.open({ folder, scope: 'shared', hostUuid, clock: systemClock, faults });
    try {
      const hosts = Array.from({ length: clients }, (_, host) => {
        const name = `host-${host}`;
        // Each try is that of a new life of the agent.
        return history.lives(name, async () => ({ locks: await open(name), lives: () => true }));
      });
      for (const point of ['state.write', 'state.rename', 'state.sync', 'state.write', 'state.sync']) {
        await history.tenures(20);
        failing = point;
        await history.tries(40);
        failing = null;
        await history.tenures(20);
      }
      history.end();
      await Promise.all(hosts);
      expectOneOwner(history, 200);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('sanlock: guests that are killed, and daemons that are paused', { timeout: 120_000 }, async () => {
    const daemons = await SanlockHosts.start(['host-a', 'host-b', 'host-c']);
    const history = new LeaseHistory(resources);
    const guests = new Map<string, { readonly pid: number; end(): Promise<void>; lives: boolean }>();
    try {
      const driver = async (name: string, locks: SanlockLocks) => {
        const known = guests.get(name);
        const guest = known?.lives ? known : { ...(await daemons.guest(locks)), lives: true };
        guests.set(name, guest);
        await locks.register(name, guest.pid);
        return { locks, lives: () => guest.lives };
      };
      const agents: SanlockLocks[] = [];
      for (let host = 0; host < clients; host += 1) agents.push(await daemons.locksOf(host % 3));
      const hosts = agents.map((locks, host) => history.lives(`guest-${host}`, () => driver(`guest-${host}`, locks)));
      for (const daemon of [0, 1, 2, 0]) {
        await history.tenures(5);
        daemons.signal(daemon, 'SIGSTOP');
        // One that stands still for longer than its leases last loses its lockspace, and with it every host of this history.
        await Promise.race([history.tries(10), sleep(systemClock, pausedMsMax)]);
        daemons.signal(daemon, 'SIGCONT');
        await history.tenures(5);
        for (const [name, guest] of guests) {
          history.dies(name);
          guest.lives = false;
          await guest.end();
          await history.tenures(1);
        }
      }
      history.end();
      await Promise.all(hosts);
      expectOneOwner(history, 60);
    } finally {
      await daemons.close();
    }
  });
});
