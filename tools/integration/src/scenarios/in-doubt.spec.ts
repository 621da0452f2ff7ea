import { randomUUID } from 'node:crypto';
import type { MigrationResource } from '@vmferry/api';
import { processesOf } from '@vmferry/lab';
import { systemRandom } from '@vmferry/seams';
import { describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { keptOf } from '../checks/on-disk.js';
import { untilSettled, untilSource } from '../checks/resources.js';
import { ask, expectProblem } from '../steps/ask.js';
import { changedCookie } from '../steps/by-hand.js';
import { eventually } from '../world/eventually.js';
import { type Mode, migrate, type Run } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';
import { expectSecond, onA } from './scenario.js';

const inWorld = sharedWorld();

/** A migration with its permit given, whose destination agent has ended before it could decide: the source asks, and nobody answers. */
async function silentDestination(world: World, mode: Mode): Promise<Run> {
  const { destination } = world.there;
  await world.arm(destination, 'D13=kill');
  const run = migrate(world, { mode });
  await destination.exited;
  await untilSource(run, ({ state, guest }) => state === 'NEEDS_ATTENTION' && guest.runningOn === 'unknown');
  // QEMU's STOP is told in its own time: the migration goes on meanwhile.
  const stopped = { state: 'paused', reason: 'migration' };
  await eventually(async () => expect(await run.from.sourceClient().domain(world.uuid)).toMatchObject(stopped));
  return run;
}

/** Both copies are there and paused, whatever is asked of either. */
async function expectUndecided(world: World, run: Run, ticks: number): Promise<void> {
  expect(processesOf(world.uuid)).toHaveLength(2);
  expect(await run.from.sourceClient().domain(world.uuid)).toMatchObject({ state: 'paused', reason: 'migration' });
  expect(world.ticks.length, 'ticks while nothing is decided').toBe(ticks);
}

describe('what a user asks for while the outcome is not known', () => {
  it.each(['p2p-tunnelled', 'managed-direct'] as const)(
    'I2: %s: suspend, resume, start and a second migration change nothing',
    (mode) =>
      inWorld(async (world) => {
        const run = await silentDestination(world, mode);
        const ticks = world.ticks.length;
        const source = run.from.sourceClient();
        expect(await source.suspend(world.uuid)).toMatchObject({ state: 'paused', reason: 'migration' });
        const second = { domain: world.name, destination: run.to.destination.url };
        expectProblem(await ask(run.from.source.url, '/v1/migrations', { body: second }), 409, 'already-migrating');
        // They wait for the job of the migration, and so for its outcome.
        const waiting = [source.resume(world.uuid), source.start(world.uuid)].map((act) =>
          act.then(
            () => 'done',
            (error: { code: string }) => error.code,
          ),
        );
        await untilSource(run, ({ state }) => state === 'NEEDS_ATTENTION');
        await expectUndecided(world, run, ticks);
        await run.to.destination.start();
        await expectSettled(world, run, 'source');
        expect(await Promise.all(waiting)).toEqual(['done', 'domain-running']);
        await expectSecond(world, mode, false);
      }),
  );

  it('I2: destroy waits for the record, and is carried out when that says aborted', () =>
    inWorld(async (world) => {
      await onA(world);
      const run = await silentDestination(world, 'p2p-tunnelled');
      const ticks = world.ticks.length;
      const destroyed = run.from.sourceClient().destroy(world.uuid);
      destroyed.catch(() => undefined);
      await untilSource(run, ({ state }) => state === 'NEEDS_ATTENTION');
      await expectUndecided(world, run, ticks);
      await run.to.destination.start();
      expect(await destroyed).toMatchObject({ state: 'shutoff', reason: 'destroyed' });
      await eventually(() => expect(processesOf(world.uuid)).toEqual([]));
      expect((await untilSettled(run.to.destinationClient(), run.id))?.outcome).toBe('aborted');
      await expectSecond(world, 'p2p-tunnelled', true);
    }));
});

describe('what a destination is asked for while it holds the guest', () => {
  it('I2: a new Prepare of the domain is refused, and names the migration', () =>
    inWorld(async (world) => {
      const { source } = world.here;
      await world.arm(source, 'S14=kill');
      const run = migrate(world, { mode: 'managed-direct' });
      await source.exited;
      const held = { state: 'NEEDS_ATTENTION', held: { reason: 'source-silent' } };
      await eventually(async () => expect(await run.to.destinationClient().migration(run.id)).toMatchObject(held));

      const { begin } = await keptOf(run.from, run.id, 'outgoing');
      const [id, nonce] = [randomUUID(), systemRandom.hex(16)];
      const cookie = changedCookie(begin.cookie, (text) =>
        text.replace(run.id, id).replace(/nonce='[0-9a-f]{32}'/, `nonce='${nonce}'`),
      );
      const body = { nonce, cookie, xml: begin.xml };
      const prepare = await ask(run.to.destination.url, `/v1/migrations/${id}/prepare`, { body });
      expectProblem(prepare, 409, 'in-doubt');
      expect(prepare.body.data).toMatchObject({ migrationId: run.id });
      expect(processesOf(world.uuid)).toHaveLength(2);

      await source.start();
      await expectSettled(world, run, 'source');
      await expectSecond(world, 'managed-direct', false);
    }));
});

describe('back again at once', () => {
  /** What a host may say that has not let go of the guest yet, or has not taken it over: it can be asked again. */
  const notYet = ['handover-pending', 'in-doubt', 'domain-exists', 'domain-not-found'];

  async function ended(run: Run): Promise<MigrationResource | null> {
    const refused = await run.driven;
    if (refused !== null) {
      expect(notYet).toContain(refused.code);
      return null;
    }
    return untilSettled(run.from.sourceClient(), run.id);
  }

  it.each(['p2p-tunnelled', 'p2p-direct'] as const)(
    'I1: %s: as soon as the record says committed the guest may return, and lives once',
    (mode) =>
      inWorld(async (world) => {
        const first = migrate(world, { mode });
        await first.driven;
        const destination = first.to.destinationClient();
        await eventually(async () => expect((await destination.migration(first.id)).outcome).toBe('committed'));
        world.here = first.to;
        for (;;) {
          const back = migrate(world, { mode });
          const told = await ended(back);
          if (told?.state === 'SUCCEEDED') {
            await expectSettled(world, back, 'destination');
            break;
          }
          if (told !== null) expect(notYet, JSON.stringify(told.error)).toContain(told.error?.code);
        }
        expect((await untilSettled(first.from.sourceClient(), first.id))?.state).toBe('SUCCEEDED');
      }),
  );
});
