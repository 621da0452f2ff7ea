import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import type { ErrorCode } from '@vmferry/errors';
import type { LockDriver, LockState, ResourceId } from './lock-driver.js';
import { decodeLockState, encodeLockState } from './lock-state.js';

/** What a driver is checked in: its hosts, each with a driver of its own on one store. */
export interface ContractWorld {
  readonly hosts: readonly { readonly uuid: string; readonly driver: LockDriver }[];
  /** The driver of this host as a new life of its agent opens it. */
  readonly restart: (host: number) => Promise<LockDriver>;
  readonly traits: ContractTraits;
}

/** What kind of driver it is; says which checks apply. */
export interface ContractTraits {
  /** False for a driver that keeps no ownership. */
  readonly owns: boolean;
  /** Hosts that share its store. */
  readonly hosts: number;
  readonly transfers: boolean;
  /** True for a driver that can tell whether an owner lives. */
  readonly knowsTheLiving: boolean;
}

export interface ContractCheck {
  readonly name: string;
  readonly applies: (traits: ContractTraits) => boolean;
  /** Rejects with an assertion error when the driver breaks the contract. */
  readonly run: (world: ContractWorld) => Promise<void>;
}

const vm = '11111111-2222-3333-4444-555555555555';
const resources: readonly ResourceId[] = [
  { kind: 'vm', key: vm },
  { kind: 'disk', key: 'pool/image: "1"' },
];

const always = () => true;
const owning = ({ owns }: ContractTraits) => owns;
const across = ({ owns, hosts }: ContractTraits) => owns && hosts > 1;
const breaking = (traits: ContractTraits) => across(traits) && !traits.knowsTheLiving;
const telling = (traits: ContractTraits) => across(traits) && traits.knowsTheLiving;
const moving = (traits: ContractTraits) => across(traits) && traits.transfers;

function host(world: ContractWorld, index: number): { uuid: string; driver: LockDriver } {
  const found = world.hosts[index];
  ok(found, `the world has a host ${index}`);
  return found;
}

function epochs(state: LockState): bigint[] {
  return state.grants.map(({ epoch }) => BigInt(epoch));
}

function grew(before: LockState, after: LockState, by: bigint): void {
  deepEqual(
    epochs(after),
    epochs(before).map((epoch) => epoch + by),
    'the epochs grow',
  );
}

function refused(attempt: Promise<unknown>, code: ErrorCode): Promise<void> {
  return rejects(attempt, { code });
}

async function ends(child: ChildProcess): Promise<void> {
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

/**
 * What every lock driver must do, as checks that need no test runner: run each one that applies in a fresh world. Its own spec runs
 * it against drivers that are broken on purpose, and each of those is caught.
 */
export const lockDriverContract: readonly ContractCheck[] = [
  {
    name: 'acquire, inquire and release agree, and release is idempotent',
    applies: always,
    run: async (world) => {
      const { driver } = host(world, 0);
      const taken = await driver.acquire(vm, resources);
      deepEqual(await driver.inquire(vm, resources), { state: taken, heldByMe: true });
      const freed = await driver.release(vm, resources);
      deepEqual(await driver.release(vm, resources), freed);
      equal((await driver.inquire(vm, resources)).heldByMe, !world.traits.owns);
    },
  },
  {
    name: 'the state survives its text',
    applies: always,
    run: async (world) => {
      const { driver } = host(world, 0);
      const state = await driver.acquire(vm, resources);
      equal(state.driver, driver.name);
      const text = encodeLockState(state);
      if (text === null) equal(world.traits.owns, false);
      else deepEqual(decodeLockState(text, driver.name), state);
    },
  },
  {
    name: 'I4: every acquire makes a new epoch, also of what this host owns',
    applies: owning,
    run: async (world) => {
      const { driver } = host(world, 0);
      const first = await driver.acquire(vm, resources);
      const second = await driver.acquire(vm, resources, first);
      grew(first, second, 1n);
      const freed = await driver.release(vm, resources);
      deepEqual(freed, second);
      grew(freed, await driver.acquire(vm, resources, freed), 1n);
    },
  },
  {
    name: 'I4: a stale epoch is refused, owned or free, and changes nothing',
    applies: owning,
    run: async (world) => {
      const { driver } = host(world, 0);
      const first = await driver.acquire(vm, resources);
      const second = await driver.acquire(vm, resources);
      await refused(driver.acquire(vm, resources, first), 'lease-stale');
      deepEqual(await driver.inquire(vm, resources), { state: second, heldByMe: true });
      await driver.release(vm, resources);
      await refused(driver.acquire(vm, resources, first), 'lease-stale');
      await refused(driver.acquire(vm, resources, { ...second, grants: [] }), 'lease-stale');
      equal((await driver.inquire(vm, resources)).heldByMe, false);
    },
  },
  {
    name: 'ownership survives the agent',
    applies: owning,
    run: async (world) => {
      const { driver } = host(world, 0);
      const taken = await driver.acquire(vm, resources);
      const next = await world.restart(0);
      deepEqual(await next.inquire(vm, resources), { state: taken, heldByMe: true });
      grew(taken, await next.acquire(vm, resources, taken), 1n);
    },
  },
  {
    name: 'the live lock is had once, passes to the process that inherits it, and ends with it',
    applies: always,
    run: async (world) => {
      const { driver } = host(world, 0);
      const fd = await driver.liveLock(vm);
      if (fd === null) return;
      const guest = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
      try {
        ok(guest.pid !== undefined);
        await driver.register(vm, guest.pid, resources);
        closeSync(fd);
        await refused(driver.liveLock(vm), 'lease-busy');
        await refused((await world.restart(0)).liveLock(vm), 'lease-busy');
      } finally {
        await ends(guest);
      }
      const again = await driver.liveLock(vm);
      ok(again !== null);
      closeSync(again);
    },
  },
  {
    name: 'I1: another owner is busy at once, for acquire and break, and release leaves it alone',
    applies: across,
    run: async (world) => {
      const [one, other] = [host(world, 0), host(world, 1)];
      const taken = await one.driver.acquire(vm, resources);
      const epoch = taken.grants[0]?.epoch;
      await rejects(
        other.driver.acquire(vm, resources),
        (error: { code?: string; data?: { owner?: string; epoch?: string } }) => {
          return error.code === 'lease-busy' && error.data?.owner === one.uuid && error.data.epoch === epoch;
        },
      );
      await refused(other.driver.acquire(vm, resources, taken), 'lease-busy');
      deepEqual((await other.driver.release(vm, resources)).grants, []);
      deepEqual(await one.driver.inquire(vm, resources), { state: taken, heldByMe: true });
      equal((await other.driver.inquire(vm, resources)).heldByMe, false);
    },
  },
  {
    name: 'all or nothing: one busy resource keeps the others free',
    applies: across,
    run: async (world) => {
      const [one, other] = [host(world, 0), host(world, 1)];
      await one.driver.acquire(vm, resources.slice(1));
      await refused(other.driver.acquire(vm, resources), 'lease-busy');
      await one.driver.acquire(vm, resources.slice(0, 1));
    },
  },
  {
    name: 'of two hosts that acquire at once, one gets it',
    applies: across,
    run: async (world) => {
      const attempts = await Promise.allSettled([0, 1, 0, 1].map((index) => host(world, index).driver.acquire(vm, resources)));
      ok(attempts.some(({ status }) => status === 'fulfilled'));
      const held = await Promise.all(
        [0, 1].map(async (index) => (await host(world, index).driver.inquire(vm, resources)).heldByMe),
      );
      equal(held.filter(Boolean).length, 1);
    },
  },
  {
    name: 'transfer moves ownership with a new epoch, and again for the same migration changes nothing',
    applies: moving,
    run: async (world) => {
      const [source, target] = [host(world, 0), host(world, 1)];
      const offered = await source.driver.acquire(vm, resources);
      const from = { host: source.uuid, state: offered };
      const moved = await target.driver.transfer(vm, resources, from, target.uuid, 'm1');
      grew(offered, moved, 1n);
      deepEqual(await target.driver.transfer(vm, resources, from, target.uuid, 'm1'), moved);
      deepEqual(await target.driver.inquire(vm, resources), { state: moved, heldByMe: true });
      await refused(source.driver.acquire(vm, resources, offered), 'lease-busy');
      await rejects(target.driver.transfer(vm, resources, from, target.uuid, 'm2'));
    },
  },
  {
    name: 'transfer refuses a stale epoch, a lease that is free, and one of somebody else',
    applies: moving,
    run: async (world) => {
      const [source, target] = [host(world, 0), host(world, 1)];
      const old = await source.driver.acquire(vm, resources);
      const offered = await source.driver.acquire(vm, resources);
      await refused(target.driver.transfer(vm, resources, { host: source.uuid, state: old }, target.uuid, 'm1'), 'lease-stale');
      await refused(target.driver.transfer(vm, resources, { host: 'nobody', state: offered }, target.uuid, 'm1'), 'lease-busy');
      await source.driver.release(vm, resources);
      await refused(
        target.driver.transfer(vm, resources, { host: source.uuid, state: offered }, target.uuid, 'm1'),
        'lease-stale',
      );
    },
  },
  {
    name: 'a lease that was returned can be finished after all, until its owner has reclaimed it',
    applies: moving,
    run: async (world) => {
      const [source, target] = [host(world, 0), host(world, 1)];
      const offered = await source.driver.acquire(vm, resources);
      const finish = () => target.driver.transfer(vm, resources, { host: source.uuid, state: offered }, target.uuid, 'm1');
      const giveBack = (state: LockState) =>
        target.driver.transfer(vm, resources, { host: target.uuid, state }, source.uuid, 'm1');
      const taken = await finish();
      const returned = await giveBack(taken);
      grew(taken, returned, 1n);
      deepEqual(await giveBack(taken), returned);
      const taken2 = await finish();
      grew(returned, taken2, 1n);
      const returned2 = await giveBack(taken2);
      grew(returned2, await source.driver.acquire(vm, resources, returned2), 1n);
      await refused(finish(), 'lease-stale');
      equal((await source.driver.inquire(vm, resources)).heldByMe, true);
    },
  },
  {
    name: 'a lease is broken at its own epoch only, with proof, and never goes back to the old owner by its old state',
    applies: breaking,
    run: async (world) => {
      const [one, other] = [host(world, 0), host(world, 1)];
      const [vmOnly] = [resources.slice(0, 1)];
      const taken = await one.driver.acquire(vm, vmOnly);
      const epoch = taken.grants[0]?.epoch ?? '';
      const proof = { t: 'operator', statement: 'power is off' } as const;
      await refused(other.driver.breakLock(vm, vmOnly, String(BigInt(epoch) + 1n), proof, 'root'), 'lease-stale');
      await refused(other.driver.breakLock(vm, vmOnly, epoch, { t: 'operator', statement: ' ' }, 'root'), 'invalid-argument');
      const freed = await other.driver.breakLock(vm, vmOnly, epoch, proof, 'root');
      grew(taken, freed, 1n);
      await refused(one.driver.acquire(vm, vmOnly, taken), 'lease-stale');
      grew(freed, await other.driver.acquire(vm, vmOnly, freed), 1n);
    },
  },
  {
    name: 'threat 18: no proof breaks the lease of an owner that is known to live, and none at all is no proof',
    applies: telling,
    run: async (world) => {
      const [one, other] = [host(world, 0), host(world, 1)];
      const taken = await one.driver.acquire(vm, resources);
      const epoch = taken.grants[0]?.epoch ?? '';
      for (const proof of [
        { t: 'operator', statement: 'power is off' },
        { t: 'fenced', by: 'ipmi' },
      ] as const)
        await refused(other.driver.breakLock(vm, resources, epoch, proof, 'root'), 'lease-busy');
      await refused(other.driver.breakLock(vm, resources, epoch, { t: 'fenced', by: ' ' }, 'root'), 'invalid-argument');
      deepEqual(await one.driver.inquire(vm, resources), { state: taken, heldByMe: true });
    },
  },
  {
    name: 'the watch tells who lost a resource to another, and nobody who gave it away',
    applies: moving,
    run: async (world) => {
      const [source, target] = [host(world, 0), host(world, 1)];
      const [vmOnly] = [resources.slice(0, 1)];
      const offered = await source.driver.acquire(vm, vmOnly);
      const told: string[] = [];
      const quiet = target.driver.watch(({ key }) => told.push(`target ${key}`));
      await new Promise<void>((resolve, reject) => {
        const watch = source.driver.watch(({ key }) => {
          watch[Symbol.dispose]();
          told.push(`source ${key}`);
          resolve();
        });
        target.driver.transfer(vm, vmOnly, { host: source.uuid, state: offered }, target.uuid, 'm1').catch(reject);
      });
      await target.driver.release(vm, vmOnly);
      await source.driver.acquire(vm, vmOnly);
      quiet[Symbol.dispose]();
      deepEqual(told, [`source ${vm}`]);
    },
  },
];
