import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AppProcess } from '@vmferry/lab';
import { afterAll } from 'vitest';
import { expectSettled } from '../checks/expect-settled.js';
import { MemoryChanged } from '../checks/life.js';
import { migrate } from './run.js';
import { World, type WorldOptions } from './world.js';

const complaintsShown = 4;
const complaintCharsMax = 300;

/**
 * Hands out one world to the cases of a file, one after the other: whoever leaves it clean, as each case proves at its end, leaves it to the
 * next. A case that fails loses it: its folder stays, and the ends of its logs are told with the failure.
 *
 * Options that a new world needs anew are a function.
 *
 * A guest that found its memory changed has its case tried once more, in a new world. QEMU alone, without an agent, loses writes of a guest that
 * it emulates too (README, Limits), the more so on a busy machine; what vmferry did to a guest's memory it would do again.
 */
export function sharedWorld(
  options: WorldOptions | (() => WorldOptions) = {},
): (act: (world: World) => Promise<void>) => Promise<void> {
  let shared: World | null = null;
  afterAll(async () => shared?.close({ keep: false }));
  return async (act) => {
    const attempt = async () => {
      const world = shared ?? (await openWorld(typeof options === 'function' ? options() : options));
      shared = null;
      try {
        await act(world);
        shared = world;
      } catch (thrown) {
        throw await failureOf(world, thrown);
      }
    };
    await attempt().catch(async (error: unknown) => {
      if (!(error instanceof MemoryChanged)) throw error;
      process.stderr.write(
        `${error.message}\nTCG alone does that to a guest now and then; the case is tried again in a new world.\n`,
      );
      await attempt();
    });
  };
}

/** What was thrown, with what the agents complained of last; the world is closed, and its folder stays. */
async function failureOf(world: World, thrown: unknown): Promise<Error> {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  writeFileSync(join(world.folder, 'failure'), `${error.stack}\n`);
  const complaints = world.hosts.flatMap((host) => host.apps.flatMap((app) => complaintsOf(app)));
  await world.close({ keep: true });
  error.message += `\n${world.folder} is kept.\n${complaints.join('\n')}`;
  return error;
}

/** A world whose agents have each done what they do once in their life: there and back again, so that their descriptors can be compared. */
async function openWorld(options: WorldOptions): Promise<World> {
  const world = await World.open(options);
  try {
    for (const mode of ['p2p-tunnelled', 'p2p-direct'] as const)
      await expectSettled(world, migrate(world, { mode }), 'destination');
    return world;
  } catch (thrown) {
    throw await failureOf(world, thrown);
  }
}

/** The last things that went wrong, shortened; the logs have them in full. */
function complaintsOf(app: AppProcess): string[] {
  const lines = readFileSync(app.logPath, 'utf8').split('\n');
  const wrong = lines.filter((line) => /"level":"(warn|error)"|^fault point/.test(line) && !line.includes('no credentials'));
  return wrong.slice(-complaintsShown).map((line) => line.slice(0, complaintCharsMax));
}
