import { type ArrivedTick, findBreak } from '@vmferry/guest-image';
import { expect } from 'vitest';
import type { World } from '../world/world.js';

/** I10: the guest did not find in its memory what it had left there. */
export class MemoryChanged extends Error {}

/**
 * I1 and I10 from outside: the ticks of all QEMUs on one socket are one unbroken life with its memory right, and once another QEMU has ticked the one
 * before never does again.
 */
export function expectOneLife({ ticks }: Pick<World, 'ticks'>): void {
  const forgotAt = ticks.findIndex((tick, index) => tick.memory === 'bad' || isForgotten(tick, ticks[index - 1]));
  // What went wrong before its memory did is no fault of its memory.
  const remembered = forgotAt === -1 ? ticks : ticks.slice(0, forgotAt);
  expect(findBreak(remembered), 'I1, I10: the guest lives once, and remembers').toBeUndefined();
  const sides = ticks.map(({ connection }) => connection).filter((connection, index, all) => connection !== all[index - 1]);
  expect(sides, 'I1: ticks come from one QEMU at a time').toEqual([...new Set(sides)]);
  if (forgotAt !== -1) throw new MemoryChanged(findBreak(ticks));
}

/** The counter is in memory too: its last increment is one write, and the next QEMU's first tick shows whether it came along. */
function isForgotten(tick: ArrivedTick, before: ArrivedTick | undefined): boolean {
  return before !== undefined && tick.connection !== before.connection && tick.counter === before.counter;
}
