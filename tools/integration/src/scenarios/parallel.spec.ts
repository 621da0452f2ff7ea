import { describe, expect, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { migrate } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';

const inWorld = sharedWorld();
const parallel = { flags: ['LIVE', 'PARALLEL'] } as const;

describe('a parallel migration (multifd through the tunnel)', () => {
  it.each(['p2p-tunnelled', 'managed-tunnelled'] as const)(
    'I10: %s: success with 1, 2 and 8 channels beside the main one',
    (mode) =>
      inWorld(async (world) => {
        for (const parallelConnections of [1, 2, 8]) {
          const relays = [world.here, world.there].map((host) => host.relayClient());
          const run = migrate(world, { mode, ...parallel, parallelConnections });
          await expectSettled(world, run, 'destination');
          for (const relay of relays) {
            const streams = (await relay.streams()).streams.filter(({ migrationId }) => migrationId === run.id);
            expect(streams.map(({ channel }) => channel)).toEqual(Array.from({ length: parallelConnections + 1 }, (_, at) => at));
            expect(streams.map(({ state }) => state)).toEqual(streams.map(() => 'closed'));
          }
        }
      }),
  );
});
