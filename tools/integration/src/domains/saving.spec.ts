import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { expectTold, marksOf, untilState } from '../checks/lifecycle.js';
import { ask, expectProblem } from '../steps/ask.js';
import { eventually } from '../world/eventually.js';
import { sharedWorld } from '../world/with-world.js';
import type { World } from '../world/world.js';

const inWorld = sharedWorld();
const imageOf = (world: World, name = 'image') => join(world.folder, 'g', name);

/** The guest is at rest in its image: nothing of it runs, and it has ended as saved. */
async function expectSaved(world: World): Promise<void> {
  expect(await world.here.sourceClient().domain(world.name)).toMatchObject({ state: 'shutoff', reason: 'saved', job: null, pid: null });
}

/** It goes on from where it was: its counter never leaps and its memory is as it was, which the world checks at its end too. */
async function expectRuns(world: World, reason: string): Promise<void> {
  await world.moreTicks();
  expect(await world.here.sourceClient().domain(world.name)).toMatchObject({ state: 'running', reason });
}

describe('save and restore', () => {
  it.each(['raw', 'gzip', 'bzip2', 'xz', 'lzop', 'zstd'] as const)('S51, S52: %s: the guest goes into a file and comes out of it as it was', (format) =>
    inWorld(async (world) => {
      const [client, marks, path] = [world.here.sourceClient(), await marksOf(world), imageOf(world)];
      const saved = await client.save(world.name, { path, format });
      expect(saved).toEqual({ path, format, bytes: statSync(path).size });
      expect(statSync(path).mode & 0o777).toBe(0o600);
      await expectSaved(world);
      expect((await client.restore({ path })).state).toBe('running');
      await expectRuns(world, 'restored');
      await expectTold(world, marks, new Map([[world.here, ['suspended/paused', 'stopped/saved', 'started/restored']]]));
    }),
  );
});
