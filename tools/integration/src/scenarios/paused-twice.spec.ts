import { describe, expect, it } from 'vitest';
import { eventually } from '../world/eventually.js';
import { migrate } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';

const inWorld = sharedWorld();

describe('a guest that was paused and has not run where it came', () => {
  it('goes on to the next host, paused still, and runs there', () =>
    inWorld(async (world) => {
      await world.here.sourceClient().suspend(world.name);
      for (let leg = 0; leg < 2; leg += 1) {
        const run = migrate(world, { mode: 'p2p-direct' });
        await run.driven;
        const told = await run.from.sourceClient().migration(run.id);
        expect(told.error, JSON.stringify(told.error)).toBeNull();
        world.here = run.to;
        const here = () => world.here.sourceClient().domain(world.name);
        await eventually(async () => expect(await here()).toMatchObject({ state: 'paused', migrationId: null }));
      }
      await world.here.sourceClient().resume(world.name);
      await world.moreTicks();
    }));
});
