import { ManualClock, noFaults } from '@vmferry/seams';
import { createLogger } from '@vmferry/service';
import type { DestinationContext } from '../context.js';

type Timed = Pick<DestinationContext, 'clock' | 'timers' | 'neighbour' | 'faults'>;

/** The part of a context that timers act through, with a clock that the spec moves. */
export function timedContext(change: Partial<Timed> = {}): { readonly context: DestinationContext; readonly clock: ManualClock } {
  const clock = new ManualClock();
  const timed: Timed = {
    clock,
    faults: noFaults,
    neighbour: null,
    timers: { attachMs: 5_000, stallMs: 3_000, retryMs: 100 },
    ...change,
  };
  return { context: timed as DestinationContext, clock }; // What is under test reads nothing else of it.
}

export const silentLog = createLogger({ app: 'spec', level: 'error', hostName: 'spec', stream: process.stderr }).child({});

/** Lets every promise that is settled be noticed. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 200; turn += 1) await Promise.resolve();
}
