import { describe, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { mainModes, migrate } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';

const inWorld = sharedWorld();

describe.each(mainModes)('%s', (mode) => {
  it(`I10: ${mode}: success, there and back`, () =>
    inWorld(async (world) => {
      await expectSettled(world, migrate(world, { mode }), 'destination');
      await expectSettled(world, migrate(world, { mode }), 'destination');
    }));
});
