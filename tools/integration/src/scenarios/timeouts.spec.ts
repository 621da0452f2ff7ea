import type { MigrationResource } from '@vmferry/api';
import { processesOf } from '@vmferry/lab';
import { describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { untilSource } from '../checks/resources.js';
import { ask, expectProblem } from '../steps/ask.js';
import { migrate, type Run } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';
import { expectSecond } from './scenario.js';

/** Its memory takes ten seconds at 8 MiB/s: a long first pass, for a guest under TCG is not sure to survive many. */
const inWorld = sharedWorld({ linuxFilledMib: 48 });
const slowly = { bandwidthMibPerSec: 8 } as const;

const streams = ({ progress }: MigrationResource) => (progress?.memory.processedBytes ?? 0) > 0;

/** Reads every event of a migration to its end. */
async function everyEvent(run: Run): Promise<MigrationResource[]> {
  await untilSource(run, () => true);
  const told: MigrationResource[] = [];
  for await (const migration of run.from.sourceClient().watch(run.id)) told.push(migration);
  return told;
}

function expectProgressForward(told: readonly MigrationResource[]): void {
  const memories = told.flatMap(({ progress }) => (progress === null ? [] : [progress.memory]));
  expect(memories.length, 'events with progress').toBeGreaterThan(3);
  for (const [index, { processedBytes, totalBytes, iteration }] of memories.entries()) {
    const before = memories[index - 1];
    expect(processedBytes, 'processed bytes never become fewer').toBeGreaterThanOrEqual(before?.processedBytes ?? 0);
    expect(processedBytes).toBeLessThanOrEqual(totalBytes);
    expect(iteration, 'passes never become fewer').toBeGreaterThanOrEqual(before?.iteration ?? 0);
  }
}

/** A destination that takes nothing any more: whatever is sent then is stuck. */
async function freezeDestination(world: World, run: Run): Promise<number> {
  const source = await world.qemuOn(run.from);
  const destination = processesOf(world.uuid).find((pid) => pid !== source) ?? 0;
  process.kill(destination, 'SIGSTOP');
  return destination;
}

describe('a migration whose time is over', () => {
  it('S40: cancel: it fails by its own code, and the guest runs on at the source', () =>
    inWorld(async (world) => {
      const run = migrate(world, { mode: 'p2p-tunnelled', ...slowly, timeouts: { totalSeconds: 2 } });
      expectProgressForward(await everyEvent(run));
      const { source } = await expectSettled(world, run, 'source');
      expect(source).toMatchObject({
        state: 'FAILED',
        cancel: null,
        error: { code: 'migration-timeout', side: 'source', phase: 'perform', retryable: true },
        timeouts: { totalSeconds: 2, secondsPerGib: null, stallSeconds: null, action: 'cancel' },
      });
      await expectSecond(world, 'p2p-tunnelled', false);
    }));

  it('S40: pause: the guest is stopped, and the whole of it arrives', () =>
    inWorld(async (world) => {
      const run = migrate(world, { mode: 'p2p-direct', ...slowly, timeouts: { totalSeconds: 2, action: 'pause' } });
      expectProgressForward(await everyEvent(run));
      const { source } = await expectSettled(world, run, 'destination');
      expect(source).toMatchObject({ forceComplete: { strategy: 'pause', requestedBy: 'timeout: not completed after 2 s' } });
      expect(source?.progress?.downtime.actualMs).toBeGreaterThan(0);
    }));

  it('S40, S55: managed, without progress: a stall is noticed under a time that is set while it runs', () =>
    inWorld(async (world) => {
      const run = migrate(world, { mode: 'managed-tunnelled', ...slowly });
      await untilSource(run, streams);
      await freezeDestination(world, run);
      const timeouts = { stallSeconds: 1, action: 'cancel' } as const;
      const changed = await run.from.sourceClient().setParameters(run.id, { timeouts, bandwidthMibPerSec: 1_024 });
      expect(changed).toMatchObject({ timeouts });
      expect((await run.driven)?.code).toBe('migration-timeout');
      const { source } = await expectSettled(world, run, 'source');
      expect(source).toMatchObject({ state: 'FAILED', error: { code: 'migration-timeout' } });
    }));

  it('a guest that was stopped for it and still does not arrive runs on at the source', () =>
    inWorld(async (world) => {
      const run = migrate(world, { mode: 'p2p-direct', ...slowly });
      await untilSource(run, streams);
      await freezeDestination(world, run);
      const timeouts = { totalSeconds: 1, stallSeconds: 1, action: 'pause' } as const;
      await run.from.sourceClient().setParameters(run.id, { bandwidthMibPerSec: 1_024, timeouts });
      const { source } = await expectSettled(world, run, 'source');
      expect(source).toMatchObject({
        ...{ state: 'FAILED', forceComplete: { strategy: 'pause' } },
        error: { code: 'migration-timeout', detail: expect.stringContaining('without progress') as string },
      });
      await expectSecond(world, 'p2p-direct', false);
    }));
});

describe('while memory is sent', () => {
  it('S25: block stats are answered within a poll and the time of the monitor', () =>
    inWorld(async (world) => {
      const run = migrate(world, { mode: 'p2p-tunnelled', ...slowly });
      await untilSource(run, streams);
      const source = run.from.sourceClient();
      const tookMs: number[] = [];
      for (let time = 0; time < 21; time += 1) {
        const startedMs = performance.now();
        expect((await source.blockStats(world.uuid)).disks).toHaveLength(1);
        tookMs.push(performance.now() - startedMs);
      }
      // The machine may be busy once or twice.
      expect(tookMs.sort((a, b) => a - b)[10]).toBeLessThan(100);
      expect((await source.migration(run.id)).phase, 'it was under way all the time').toBe('perform');
      await run.cancel();
      await expectSettled(world, run, 'source');
    }));
});

describe('force-complete', () => {
  it('S40: does the same at once; afterwards there is nothing to complete', () =>
    inWorld(async (world) => {
      const run = migrate(world, { mode: 'managed-direct', ...slowly });
      await untilSource(run, streams);
      const source = run.from.sourceClient();
      const path = `/v1/migrations/${run.id}/force-complete`;
      const postcopy = await ask(run.from.source.url, path, { body: { strategy: 'postcopy' } });
      expectProblem(postcopy, 422, 'invalid-argument');
      expect(postcopy.body.detail).toContain('post-copy');
      await source.forceComplete(run.id, { strategy: 'pause' });
      await expectSettled(world, run, 'destination');
      expectProblem(await ask(run.from.source.url, path, { body: { strategy: 'pause' } }), 409, 'not-migrating');
    }));

  it('a cancel after it runs the guest again, also over a restart of the agent', () =>
    inWorld(async (world) => {
      const run = migrate(world, { mode: 'p2p-tunnelled', ...slowly });
      await untilSource(run, streams);
      const frozen = await freezeDestination(world, run);
      await run.from.sourceClient().forceComplete(run.id, { strategy: 'pause' });
      await run.from.source.kill();
      await run.from.source.start();
      process.kill(frozen, 'SIGCONT');
      const { source } = await expectSettled(world, run, 'source');
      expect(source).toMatchObject({ state: 'FAILED', forceComplete: { strategy: 'pause' } });
      await expectSecond(world, 'p2p-tunnelled', false);
    }));
});
