import { expectSettled } from '../checks/expect-settled.js';
import { isTunnelled, type Mode, mainModes, migrate } from '../world/run.js';
import type { World } from '../world/world.js';

/** The modes of a scenario; the managed migrations of every other scenario go through the tunnel. */
export function modesOf(scenario: number): Mode[] {
  return mainModes.map((mode) => (mode === 'managed-direct' && scenario % 2 === 1 ? 'managed-tunnelled' : mode));
}

export const tunnelled = (all: readonly Mode[]): Mode[] => all.filter(isTunnelled);

/** After whatever has happened: what ended is started again, and the guest, a new one when it was lost, can be migrated. */
export async function expectSecond(world: World, mode: Mode, lost: boolean): Promise<void> {
  if (lost) await world.boot();
  await expectSettled(world, migrate(world, { mode }), 'destination');
}

/** What ends the guest for good needs it on A, where its configuration is, so that it can be started again. */
export async function onA(world: World): Promise<void> {
  if (world.here !== world.a) await expectSettled(world, migrate(world, { mode: 'p2p-direct' }), 'destination');
}
