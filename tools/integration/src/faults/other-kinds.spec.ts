import { describe, it } from 'vitest';
import { sharedWorld } from '../world/with-world.js';
import { type FaultCase, strike, titleOf } from './strike.js';

/**
 * The kinds of fault that are no kill, at the points where they ask most: a process that sleeps longer than its sessions live, a step that fails,
 * an answer that comes late. Every point with every kind is the fault sweep's.
 */
const cases: readonly FaultCase[] = [
  { mode: 'p2p-tunnelled', point: 'S5', kind: 'freeze' },
  { mode: 'p2p-direct', point: 'S14', kind: 'freeze' },
  { mode: 'managed-direct', point: 'S17', kind: 'freeze' },
  { mode: 'managed-tunnelled', point: 'D8', kind: 'freeze' },
  { mode: 'p2p-direct', point: 'D12', kind: 'freeze' },
  { mode: 'p2p-tunnelled', point: 'D15', kind: 'freeze' },
  { mode: 'p2p-tunnelled', point: 'R3', kind: 'freeze' },
  { mode: 'p2p-direct', point: 'S4', kind: 'error' },
  { mode: 'managed-tunnelled', point: 'S7', kind: 'error' },
  { mode: 'managed-direct', point: 'S12', kind: 'error' },
  { mode: 'p2p-tunnelled', point: 'D4', kind: 'error' },
  { mode: 'p2p-direct', point: 'D7', kind: 'error' },
  { mode: 'managed-direct', point: 'D20', kind: 'error' },
  { mode: 'managed-tunnelled', point: 'R2', kind: 'error', struck: 'destination-relay' },
  { mode: 'p2p-direct', point: 'S21', kind: 'error' },
  { mode: 'p2p-direct', point: 'S16', kind: 'delay' },
  { mode: 'managed-direct', point: 'D10', kind: 'delay' },
  { mode: 'p2p-tunnelled', point: 'D16', kind: 'delay' },
];

const inWorld = sharedWorld();

describe('I11: a fault that is no kill', () => {
  it.each(cases.map((fault) => [titleOf(fault), fault] as const))('%s', (_title, fault) =>
    inWorld(async (world) => {
      await strike(world, fault);
    }),
  );
});
