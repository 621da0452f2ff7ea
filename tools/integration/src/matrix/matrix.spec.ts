import { describe, it } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { mainModes, migrate } from '../world/run.js';
import { sharedWorld } from '../world/with-world.js';
import { expectCell } from './cell.js';
import { rows, titleOf } from './rows.js';
import { expectStandsStill, expectStaysPaused } from './still.js';

const inWorld = sharedWorld();

describe.each(mainModes)('the outcome matrix, %s', (mode) => {
  it.each(rows.map((row) => [titleOf(row), row] as const))('%s', (_title, row) =>
    inWorld((world) => expectCell(world, mode, row)),
  );
});

describe('without LIVE', () => {
  it.each(mainModes)('S31: %s: the guest stands still while its memory goes over, and runs on the target', (mode) =>
    inWorld(async (world) => {
      const run = migrate(world, { mode, flags: [], bandwidthMibPerSec: 1 });
      await expectStandsStill(world, run);
      await expectSettled(world, run, 'destination');
    }),
  );

  it.each(mainModes)('S31: %s: a cancel lets it run again where it was', (mode) =>
    inWorld(async (world) => {
      const run = migrate(world, { mode, flags: [], bandwidthMibPerSec: 1 });
      await expectStandsStill(world, run);
      await run.cancel();
      await expectSettled(world, run, 'source');
    }),
  );
});

describe('a guest that its user has paused', () => {
  it.each(mainModes)('S31: %s: stays paused, after a cancel here and after a success there', (mode) =>
    inWorld(async (world) => {
      await expectStaysPaused(world, mode);
      await expectCell(world, mode, { guest: 'paused', source: 'transient', configThere: false, flag: 'PERSIST_DEST' });
    }),
  );
});
