import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { systemClock } from '@vmferry/seams';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EmbeddedLocks, type EmbeddedOptions, vmResource } from './embedded.js';
import { type LeaseHandover, reclaimLease, returnLease, takeLease } from './handover.js';
import type { LockState } from './lock-driver.js';
import { noLocks } from './none.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'locking-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const vm = '11111111-2222-3333-4444-555555555555';
const resources = [vmResource(vm)];
const A = 'host-a';
const B = 'host-b';

function open(hostUuid: string, more: Partial<EmbeddedOptions> = {}): Promise<EmbeddedLocks> {
  return EmbeddedLocks.open({ folder, scope: 'shared', hostUuid, clock: systemClock, ...more });
}

function epochOf(state: LockState): string | undefined {
  return state.grants[0]?.epoch;
}

async function guest(fd: number): Promise<ChildProcess> {
  const process = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
  await once(process, 'spawn');
  closeSync(fd);
  return process;
}

async function end(process: ChildProcess): Promise<void> {
  const closed = once(process, 'close');
  process.kill('SIGKILL');
  await closed;
}

it('opening removes what a killed agent of this host has left half-written, and nothing of others', async () => {
  const dead = spawn('true');
  await once(dead, 'close');
  const left = `.vm-${vm}.json.${A}-${dead.pid}.tmp`;
  const kept = [`.vm-${vm}.json.${A}-1.tmp`, `.vm-${vm}.json.${B}-${dead.pid}.tmp`, `vm-${vm}.lk`];
  for (const name of [left, ...kept]) writeFileSync(join(folder, name), '{');
  await open(A);
  expect(readdirSync(folder).sort()).toEqual(kept.sort());
});

describe('scope host', () => {
  const handover = (offered: LockState | null): LeaseHandover => ({
    vm,
    resources,
    source: A,
    destination: B,
    migrationId: 'm1',
    offered,
  });

  async function twoHosts(): Promise<{ a: EmbeddedLocks; b: EmbeddedLocks }> {
    const a = await open(A, { scope: 'host', folder: join(folder, 'a') });
    return { a, b: await open(B, { scope: 'host', folder: join(folder, 'b') }) };
  }

  it('adopts at Finish with the epoch of the cookie plus one, and again for the same migration changes nothing', async () => {
    const { a, b } = await twoHosts();
    await a.acquire(vm, resources);
    const offered = await a.acquire(vm, resources);
    const taken = await takeLease(b, handover(offered));
    expect(epochOf(taken)).toBe('3');
    expect(await takeLease(b, handover(offered))).toEqual(taken);
    await expect(b.adopt(vm, resources, offered, 'm2')).rejects.toMatchObject({ code: 'lease-stale' });
    expect((await b.inquire(vm, resources)).heldByMe).toBe(true);
  });

  it('I4: goes there and back, and the epoch only grows', async () => {
    const { a, b } = await twoHosts();
    const first = await a.acquire(vm, resources);
    const there = await b.adopt(vm, resources, first, 'm1');
    const back = await a.adopt(vm, resources, there, 'm2');
    expect([first, there, back].map(epochOf)).toEqual(['1', '2', '3']);
    await expect(b.adopt(vm, resources, first, 'm3')).rejects.toMatchObject({ code: 'lease-stale' });
  });

  it('gives back what it took when the migration is aborted, and may still finish', async () => {
    const { a, b } = await twoHosts();
    const offered = await a.acquire(vm, resources);
    expect((await returnLease(b, handover(offered))).driver).toBe('embedded');
    const taken = await takeLease(b, handover(offered));
    const returned = await returnLease(b, handover(offered));
    expect(await returnLease(b, handover(offered))).toEqual(returned);
    expect((await b.inquire(vm, resources)).heldByMe).toBe(false);
    const again = await takeLease(b, handover(offered));
    expect(Number(epochOf(again))).toBeGreaterThan(Number(epochOf(taken)));
    await returnLease(b, handover(offered));
    expect(epochOf(await reclaimLease(a, vm, resources, returned))).toBe('2');
  });

  it('I1: does not adopt while another QEMU of the guest lives on this host', async () => {
    const { a, b } = await twoHosts();
    const offered = await a.acquire(vm, resources);
    const stranger = await guest(await b.liveLock(vm));
    try {
      await expect(b.adopt(vm, resources, offered, 'm1')).rejects.toMatchObject({ code: 'lease-busy' });
      await b.register(vm, stranger.pid ?? 0, resources);
      expect(epochOf(await b.adopt(vm, resources, offered, 'm1'))).toBe('2');
      const successor = await open(B, { scope: 'host', folder: join(folder, 'b') });
      await expect(successor.adopt(vm, resources, offered, 'm1')).rejects.toMatchObject({
        code: 'lease-busy',
        data: { pid: stranger.pid },
      });
      await expect(successor.liveLock(vm)).rejects.toMatchObject({ code: 'lease-busy', data: { pid: stranger.pid } });
    } finally {
      await end(stranger);
    }
  });

  it('does not pretend to move a lease to another host', async () => {
    const { a } = await twoHosts();
    const state = await a.acquire(vm, resources);
    await expect(a.transfer(vm, resources, { host: A, state }, B, 'm1')).rejects.toMatchObject({ code: 'internal' });
  });
});

describe('a handover', () => {
  it('with scope shared moves the lease, and after an abort the source reclaims it under a new epoch', async () => {
    const [a, b] = [await open(A), await open(B)];
    const offered = await a.acquire(vm, resources);
    const handover = { vm, resources, source: A, destination: B, migrationId: 'm1', offered };
    expect(epochOf(await takeLease(b, handover))).toBe('2');
    await expect(reclaimLease(a, vm, resources, offered)).rejects.toMatchObject({ code: 'lease-busy' });
    const returned = await returnLease(b, handover);
    expect(epochOf(returned)).toBe('3');
    expect(epochOf(await reclaimLease(a, vm, resources, returned))).toBe('4');
    await expect(takeLease(b, handover)).rejects.toMatchObject({ code: 'lease-stale' });
  });

  it('with the driver none does nothing', async () => {
    const handover = { vm, resources, source: A, destination: B, migrationId: 'm1', offered: null };
    for (const state of [
      await takeLease(noLocks, handover),
      await returnLease(noLocks, handover),
      await reclaimLease(noLocks, vm, resources, null),
    ]) {
      expect(state.grants).toEqual([]);
    }
  });
});

describe('release', () => {
  it('S47: never frees what this host did not take, also not again after it was moved away', async () => {
    const [a, b] = [await open(A), await open(B)];
    const offered = await a.acquire(vm, resources);
    expect((await b.release(vm, resources)).grants).toEqual([]);
    expect((await a.inquire(vm, resources)).heldByMe).toBe(true);
    const moved = await b.transfer(vm, resources, { host: A, state: offered }, B, 'm1');
    expect((await a.release(vm, resources)).grants).toEqual([]);
    expect(await b.inquire(vm, resources)).toEqual({ state: moved, heldByMe: true });
  });
});

describe('the files', () => {
  it('I12: a record that cannot be read stays, and refuses everything', async () => {
    const driver = await open(A);
    await driver.acquire(vm, resources);
    const path = join(folder, `vm-${vm}.json`);
    for (const text of [
      '',
      '{',
      '{"version":2}',
      readFileSync(path, 'utf8').replace('"1"', '"-1"'),
      readFileSync(path, 'utf8').replace(vm, 'other'),
    ]) {
      writeFileSync(path, text);
      for (const attempt of [
        () => driver.acquire(vm, resources),
        () => driver.inquire(vm, resources),
        () => driver.release(vm, resources),
      ]) {
        await expect(attempt()).rejects.toMatchObject({ code: 'lease-unavailable' });
      }
      expect(readFileSync(path, 'utf8')).toBe(text);
    }
  });

  it('keeps the lease as it was when the disk is full, for all resources', async () => {
    const both = [...resources, { kind: 'disk', key: 'pool/image' } as const];
    let writes = Number.POSITIVE_INFINITY;
    const faults = () => {
      writes -= 1;
      if (writes === 0) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    };
    const driver = await open(A, { faults });
    const before = await driver.acquire(vm, both);
    for (const failing of [1, 2, 3, 4, 5, 6]) {
      writes = failing;
      await expect(driver.acquire(vm, both)).rejects.toMatchObject({ code: 'lease-unavailable' });
      expect(await driver.inquire(vm, both)).toEqual({ state: before, heldByMe: true });
    }
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('refuses no resources, and more than 64', async () => {
    const driver = await open(A);
    for (const count of [0, 65]) {
      const many = Array.from({ length: count }, (_, index) => ({ kind: 'lease', key: String(index) }) as const);
      await expect(driver.acquire(vm, many)).rejects.toMatchObject({ code: 'invalid-argument' });
    }
  });

  it('gives up on a mutex that a frozen process holds, and takes nothing', async () => {
    const frozen = await open(B);
    const fd = await import('@vmferry/posix').then(({ openFile, flockExclusive }) => {
      const opened = openFile(join(folder, `vm-${vm}.lk`), 0o102, 0o600);
      flockExclusive(opened);
      return opened;
    });
    let nowMs = 0;
    const clock = { ...systemClock, monotonicMs: () => (nowMs += 1_000) };
    const driver = await open(A, { clock });
    await expect(driver.acquire(vm, resources)).rejects.toMatchObject({ code: 'lease-unavailable' });
    closeSync(fd);
    expect(epochOf(await frozen.acquire(vm, resources))).toBe('1');
  });
});

describe('several owners', () => {
  const step = fc.record({
    host: fc.constantFrom(0, 1, 2),
    op: fc.constantFrom('acquire', 'acquire-expecting', 'release', 'transfer', 'restart', 'break'),
    to: fc.constantFrom(0, 1, 2),
    migrationId: fc.constantFrom('m1', 'm2'),
  });

  it('I1, I4: over random concurrent histories there are never two owners, one epoch has one owner, and epochs only grow', async () => {
    const hosts = ['host-0', 'host-1', 'host-2'];
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { maxLength: 8 }), async (rounds) => {
        rmSync(folder, { recursive: true, force: true });
        const drivers = await Promise.all(hosts.map((host) => open(host)));
        const known: (LockState | undefined)[] = [];
        const ownerAt = new Map<string, string>();
        let highest = 0n;
        for (const round of rounds) {
          await Promise.all(
            round.map(async ({ host, op, to, migrationId }) => {
              const driver = drivers[host] ?? drivers[0];
              if (driver === undefined) return;
              const state = known[host];
              const name = hosts[host] ?? '';
              try {
                if (op === 'restart') drivers[host] = await open(name);
                else if (op === 'release') known[host] = await driver.release(vm, resources);
                else if (op === 'break')
                  await driver.breakLock(
                    vm,
                    resources,
                    epochOf((await driver.inquire(vm, resources)).state) ?? '',
                    { t: 'fenced', by: 'x' },
                    'x',
                  );
                else {
                  const target = hosts[to] ?? '';
                  const gained =
                    op === 'transfer'
                      ? state === undefined
                        ? undefined
                        : await driver.transfer(vm, resources, { host: name, state }, target, migrationId)
                      : await driver.acquire(vm, resources, op === 'acquire' ? undefined : state);
                  if (gained === undefined) return;
                  const owner = op === 'transfer' ? target : name;
                  const epoch = epochOf(gained) ?? '';
                  known[hosts.indexOf(owner)] = gained;
                  expect(ownerAt.get(epoch) ?? owner).toBe(owner);
                  ownerAt.set(epoch, owner);
                }
              } catch (error) {
                expect(VmferryError.is(error, 'lease-busy') || VmferryError.is(error, 'lease-stale')).toBe(true);
              }
            }),
          );
          const seen = await Promise.all(drivers.map((driver) => driver.inquire(vm, resources)));
          expect(seen.filter(({ heldByMe }) => heldByMe).length).toBeLessThanOrEqual(1);
          const epoch = BigInt(epochOf(seen[0]?.state ?? { driver: '', v: 1, grants: [] }) ?? '0');
          expect(epoch).toBeGreaterThanOrEqual(highest);
          const owner = hosts[seen.findIndex(({ heldByMe }) => heldByMe)];
          if (owner !== undefined) expect(ownerAt.get(String(epoch))).toBe(owner);
          highest = epoch;
        }
      }),
      { numRuns: 40 },
    );
  }, 60_000);

  it('I1: processes that fight for one lease are never inside together', async () => {
    const program = `
      import { mkdirSync, rmdirSync } from 'node:fs';
      import { EmbeddedLocks, vmResource } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)};
      import { systemClock } from ${JSON.stringify(import.meta.resolve('@vmferry/seams'))};
      const [folder, hostUuid] = process.argv.slice(1);
      const driver = await EmbeddedLocks.open({ folder, scope: 'shared', hostUuid, clock: systemClock });
      const resources = [vmResource('g')];
      for (let entries = 0; entries < 15; ) {
        try { await driver.acquire('g', resources); } catch (error) { if (error.code !== 'lease-busy') throw error; continue; }
        mkdirSync(folder + '/inside');
        rmdirSync(folder + '/inside');
        await driver.release('g', resources);
        entries += 1;
      }`;
    const fighters = [0, 1, 2].map((index) =>
      spawn(process.execPath, ['--input-type=module', '-e', program, folder, `host-${index}`], {
        stdio: ['ignore', 'ignore', 'inherit'],
      }),
    );
    const codes = await Promise.all(fighters.map(async (fighter) => ((await once(fighter, 'close')) as [number | null])[0]));
    expect(codes).toEqual([0, 0, 0]);
    const { state, heldByMe } = await (await open('host-0')).inquire('g', [vmResource('g')]);
    expect({ epoch: epochOf(state), heldByMe }).toEqual({ epoch: '45', heldByMe: false });
  }, 60_000);

  it('a process that is killed at any moment leaves a lease that its host takes up again, under a new epoch', async () => {
    const program = `
      import { EmbeddedLocks, vmResource } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)};
      import { systemClock } from ${JSON.stringify(import.meta.resolve('@vmferry/seams'))};
      const driver = await EmbeddedLocks.open({ folder: process.argv[1], scope: 'shared', hostUuid: 'host-a', clock: systemClock });
      for (;;) process.stdout.write((await driver.acquire('g', [vmResource('g')])).grants[0].epoch + '\\n');`;
    let acknowledged = 0;
    for (let round = 0; round < 5; round += 1) {
      const owner = spawn(process.execPath, ['--input-type=module', '-e', program, folder], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ended = once(owner, 'close');
      for await (const chunk of owner.stdout) {
        acknowledged = Math.max(acknowledged, ...String(chunk).trim().split('\n').map(Number));
        owner.kill('SIGKILL');
      }
      await ended;
      const taken = await (await open('host-a')).acquire('g', [vmResource('g')]);
      expect(Number(epochOf(taken))).toBeGreaterThan(acknowledged);
      await expect((await open('host-b')).acquire('g', [vmResource('g')])).rejects.toMatchObject({ code: 'lease-busy' });
    }
  }, 60_000);
});
