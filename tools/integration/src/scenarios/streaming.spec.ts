import { processesOf } from '@vmferry/lab';
import { describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { untilSettled, untilSource } from '../checks/resources.js';
import { cuttingProxyTo } from '../world/cutting-proxy.js';
import { eventually } from '../world/eventually.js';
import { endless, type Mode, migrate, type Run } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';
import { expectSecond, modesOf, onA, tunnelled } from './scenario.js';

const inWorld = sharedWorld();

/** A migration whose stream goes on until something is done about it; the guest's pages have been sent once already. */
async function streaming(world: World, mode: Mode): Promise<Run> {
  const run = migrate(world, { mode, ...endless });
  await untilSource(run, ({ progress }) => (progress?.memory.processedBytes ?? 0) > 0);
  return run;
}

describe('while the memory streams', () => {
  it.each(modesOf(0))('I11: %s: cancel', (mode) =>
    inWorld(async (world) => {
      const run = await streaming(world, mode);
      await run.cancel();
      const { source } = await expectSettled(world, run, 'source');
      expect(source).toMatchObject({
        state: 'CANCELLED',
        cancel: { outcome: 'SUCCEEDED' },
        error: { code: 'migration-cancelled' },
      });
      await expectSecond(world, mode, false);
    }),
  );

  it.each(modesOf(1))('I11: %s: the destination QEMU is killed', (mode) =>
    inWorld(async (world) => {
      const run = await streaming(world, mode);
      const source = await world.qemuOn(run.from);
      const [destination] = processesOf(world.uuid).filter((pid) => pid !== source);
      process.kill(destination ?? 0, 'SIGKILL');
      await expectSettled(world, run, 'source');
      await expectSecond(world, mode, false);
    }),
  );

  it.each(modesOf(0))('I11: %s: the source QEMU is killed, and the guest with it', (mode) =>
    inWorld(async (world) => {
      await onA(world);
      const run = await streaming(world, mode);
      process.kill(await world.qemuOn(run.from), 'SIGKILL');
      const { source, destination } = await expectSettled(world, run, 'lost');
      // Its exit and the end of its migration are told by two ways; the first one is the error.
      expect(['guest-gone', 'migration-failed']).toContain(source?.error?.code);
      expect(destination?.outcome).toBe('aborted');
      const crashed = { state: 'shutoff', reason: 'crashed', job: null };
      expect(await run.from.sourceClient().domain(world.uuid)).toMatchObject(crashed);
      await expectSecond(world, mode, true);
    }),
  );

  // A direct migration has no relay in it.
  it.each(tunnelled(modesOf(1)).flatMap((mode) => [[mode, 'source'] as const, [mode, 'destination'] as const]))(
    'I11: %s: the relay of the %s is killed',
    (mode, side) =>
      inWorld(async (world) => {
        const run = await streaming(world, mode);
        const { relay } = side === 'source' ? run.from : run.to;
        await relay.kill();
        await relay.start();
        const { source: told } = await expectSettled(world, run, 'source');
        expect(told?.error?.detail, 'more than what QEMU sees, a socket that ended').toMatch(/The tunnel relay of this host/);
        await expectSecond(world, mode, false);
      }),
  );

  // A relay that stands still ends no connection: only the destination sees that nothing comes, and the source only by asking.
  it.each(tunnelled(modesOf(1)).flatMap((mode) => [[mode, 'source'] as const, [mode, 'destination'] as const]))(
    'I11: %s: the relay of the %s is frozen and stays so',
    (mode, side) =>
      inWorld(async (world) => {
        const run = await streaming(world, mode);
        const { relay } = side === 'source' ? run.from : run.to;
        relay.signal('SIGSTOP');
        const source = await untilSettled(run.from.sourceClient(), run.id).finally(() => relay.signal('SIGCONT'));
        expect(source?.error).toMatchObject({ detail: expect.stringMatching(/given the migration of .* up/) as string });
        await expectSettled(world, run, 'source');
        await eventually(async () => {
          const { streams } = await run.from.relayClient().streams();
          expect(streams.filter(({ closedAt }) => closedAt === null)).toEqual([]);
        });
        await expectSecond(world, mode, false);
      }),
  );

  // QEMU sends all that is left, stops the guest for it and waits for an answer; TCP alone would wait for a quarter of an hour.
  it.each(['p2p-tunnelled', 'p2p-direct'] as const)(
    'I11: %s: the link falls silent: the guest soon runs on, without anybody asking',
    (mode) =>
      inWorld(async (world) => {
        const { there } = world;
        const proxy = await cuttingProxyTo(mode.endsWith('direct') ? there.destination.url : there.relay.url);
        try {
          const run = migrate(world, { mode, uri: proxy.url, bandwidthMibPerSec: 1 });
          await untilSource(run, ({ progress }) => (progress?.memory.processedBytes ?? 0) > 0);
          proxy.fallSilent();
          const source = await untilSettled(run.from.sourceClient(), run.id);
          expect(source?.error).toMatchObject({
            detail: expect.stringMatching(/given the migration of .* up|nothing of .* was sent/i) as string,
          });
          await expectSettled(world, run, 'source');
          await expectSecond(world, mode, false);
        } finally {
          proxy.close();
        }
      }),
  );

  it.each(modesOf(1))('I11: %s: the source agent is killed and started again', (mode) =>
    inWorld(async (world) => {
      const run = await streaming(world, mode);
      await run.from.source.kill();
      await run.from.source.start();
      await expectSettled(world, run, 'source');
      await expectSecond(world, mode, false);
    }),
  );

  it.each(modesOf(0))('I11: %s: the destination agent is killed and started again', (mode) =>
    inWorld(async (world) => {
      const run = await streaming(world, mode);
      await run.to.destination.kill();
      await run.to.destination.start();
      await expectSettled(world, run, 'source');
      await expectSecond(world, mode, false);
    }),
  );
});
