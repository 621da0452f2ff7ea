import type { MigrationResource } from '@vmferry/api';
import { expect } from 'vitest';
import { untilSettled, untilSource } from '../checks/resources.js';
import { endless, type Mode, migrate, type Run } from '../world/run.js';
import type { World } from '../world/world.js';

const bytesOf = ({ progress }: MigrationResource): number => progress?.memory.processedBytes ?? 0;

/** Memory goes over from one look to the next, and the guest does not tick meanwhile. */
export async function expectStandsStill(world: World, run: Run): Promise<void> {
  const first = await untilSource(run, (told) => bytesOf(told) > 0);
  const ticks = world.ticks.length;
  const second = await untilSource(run, (told) => bytesOf(told) > bytesOf(first));
  expect(second.phase).toBe('perform');
  expect(world.ticks.length, 'ticks of a guest that is stopped for its transfer').toBe(ticks);
  const state = { state: 'paused', reason: 'migration' };
  expect(await run.from.sourceClient().domain(world.uuid)).toMatchObject(state);
}

/** A guest that its user has paused: a cancel leaves it as it is. */
export async function expectStaysPaused(world: World, mode: Mode): Promise<void> {
  const client = world.here.sourceClient();
  await client.suspend(world.uuid);
  const run = migrate(world, { mode, flags: [], ...endless });
  await untilSource(run, (told) => bytesOf(told) > 0);
  await run.cancel();
  await run.driven;
  expect(await untilSettled(client, run.id)).toMatchObject({ state: 'CANCELLED' });
  expect(await client.domain(world.uuid)).toMatchObject({ state: 'paused', reason: 'user' });
  await client.resume(world.uuid);
  await world.moreTicks();
}
