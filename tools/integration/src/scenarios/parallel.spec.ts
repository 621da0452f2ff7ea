import type { StreamResource } from '@vmferry/api';
import type { Host } from '@vmferry/lab';
import { TestAuthority } from '@vmferry/tls/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { untilSource } from '../checks/resources.js';
import { cuttingProxyTo } from '../world/cutting-proxy.js';
import { eventually } from '../world/eventually.js';
import { endless, migrate, type Run, type RunOptions } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

const inWorld = sharedWorld();
const modes = ['p2p-tunnelled', 'managed-tunnelled'] as const;
const parallel = { flags: ['LIVE', 'PARALLEL'], parallelConnections: 2 } as const;

/** The streams of a migration at the relay of one host, in the order of their channels. */
async function streamsOf({ id }: Run, host: Host): Promise<StreamResource[]> {
  const { streams } = await host.relayClient().streams();
  return streams.filter(({ migrationId }) => migrationId === id).sort((a, b) => (a.channel ?? 0) - (b.channel ?? 0));
}

/** A parallel migration that goes on until something is done about it; pages have gone over each of its channels. */
async function streaming(world: World, o: Partial<RunOptions> = {}): Promise<Run> {
  const run = migrate(world, { mode: 'p2p-tunnelled', ...parallel, ...endless, ...o });
  await untilSource(run, ({ progress }) => (progress?.memory.processedBytes ?? 0) > 0);
  await eventually(async () => {
    const moved = (await streamsOf(run, run.from)).map(({ bytesToPeer }) => bytesToPeer);
    if (moved.length !== 3 || moved.includes(0)) throw new Error(`the channels have moved ${moved.join(', ')} bytes`);
  });
  return run;
}

/** The guest runs on at the source, no stream is open at either relay, and the next migration succeeds. */
async function expectFailedCleanly(world: World, run: Run): Promise<void> {
  await expectSettled(world, run, 'source');
  for (const host of world.hosts) {
    const open = (await host.relayClient().streams()).streams.filter(({ closedAt }) => closedAt === null);
    expect(open, `open streams of ${host.name}`).toEqual([]);
  }
  await expectSettled(world, migrate(world, { mode: run.mode, ...parallel }), 'destination');
  await expectSettled(world, migrate(world, { mode: run.mode }), 'destination');
}

describe('a parallel migration: multifd through the tunnel', () => {
  it.each(modes.flatMap((mode) => [1, 2, 8].map((count) => [mode, count] as const)))(
    'I10: %s: success with %i channels beside the main one',
    (mode, parallelConnections) =>
      inWorld(async (world) => {
        const run = migrate(world, { mode, ...parallel, parallelConnections });
        await expectSettled(world, run, 'destination');
        for (const host of world.hosts) {
          const streams = await streamsOf(run, host);
          expect(streams.map(({ channel, state }) => [channel, state])).toEqual(
            Array.from({ length: parallelConnections + 1 }, (_, channel) => [channel, 'closed']),
          );
          expect(new Set(streams.map(({ family }) => family)).size).toBe(1);
        }
      }),
  );

  it('a migration that is not parallel follows on the same QEMU', () =>
    inWorld(async (world) => {
      await expectSettled(world, migrate(world, { mode: 'p2p-tunnelled', ...parallel }), 'destination');
      await expectSettled(world, migrate(world, { mode: 'p2p-direct' }), 'destination');
    }));

  it('I11: cancel', () =>
    inWorld(async (world) => {
      const run = await streaming(world);
      await run.cancel();
      await expectFailedCleanly(world, run);
    }));
});

describe('a channel that is lost fails the whole migration', () => {
  it.each([
    ['source', 0],
    ['source', 2],
    ['destination', 0],
    ['destination', 1],
  ] as const)('I11: aborted at the relay of the %s: channel %i', (side, channel) =>
    inWorld(async (world) => {
      const run = await streaming(world);
      const host = side === 'source' ? run.from : run.to;
      const stream = (await streamsOf(run, host))[channel];
      await host.relayClient().abortStream(stream?.id ?? '');
      const streams = await streamsOf(run, host);
      expect(streams.map(({ state }) => state)).toEqual(['failed', 'failed', 'failed']);
      const others = streams.filter((one) => one.channel !== channel).map(({ reason }) => reason);
      for (const reason of others)
        expect(reason).toMatch(new RegExp(`channel ${channel} of its family was lost: it was ended by a DELETE of`));
      await expectFailedCleanly(world, run);
    }),
  );

  it.each([0, 1, 2])('I11: its connection between the relays is reset: the one that came in turn %i', (turn) =>
    inWorld(async (world) => {
      const proxy = await cuttingProxyTo(world.there.relay.url);
      try {
        const run = await streaming(world, { uri: proxy.url });
        expect(proxy.count()).toBe(3);
        proxy.cut(turn);
        await expectFailedCleanly(world, run);
        expect((await streamsOf(run, run.from)).map(({ state }) => state)).toEqual(['failed', 'failed', 'failed']);
      } finally {
        proxy.close();
      }
    }),
  );

  it.each(['source', 'destination'] as const)('I11: the relay of the %s is killed', (side) =>
    inWorld(async (world) => {
      const run = await streaming(world);
      const { relay } = side === 'source' ? run.from : run.to;
      await relay.kill();
      await relay.start();
      await expectFailedCleanly(world, run);
    }),
  );
});

describe('an agent is killed while a parallel migration streams, and started again', () => {
  it.each(modes)('I11: %s: the source agent', (mode) =>
    inWorld(async (world) => {
      const run = await streaming(world, { mode });
      await run.from.source.kill();
      await run.from.source.start();
      await expectFailedCleanly(world, run);
    }),
  );

  it.each(modes)('I11: %s: the destination agent', (mode) =>
    inWorld(async (world) => {
      const run = await streaming(world, { mode });
      await run.to.destination.kill();
      await run.to.destination.start();
      await expectFailedCleanly(world, run);
    }),
  );
});

describe('a parallel migration between relays with certificates', () => {
  const authority = new TestAuthority();
  afterAll(() => authority.remove());
  const host = () => ({ relay: authority.issue(['relay']), agents: authority.issue(['agent']) });
  const inTlsWorld = sharedWorld({ certificates: { a: host(), b: host() } });

  it.each(modes)('%s: each channel goes over TLS', (mode) =>
    inTlsWorld(async (world) => {
      const run = migrate(world, { mode, ...parallel });
      await expectSettled(world, run, 'destination');
      for (const each of world.hosts) {
        const streams = await streamsOf(run, each);
        expect(streams.map(({ state, path }) => [state, path])).toEqual(streams.map(() => ['closed', 'tls']));
        expect(streams).toHaveLength(3);
      }
    }),
  );
});
