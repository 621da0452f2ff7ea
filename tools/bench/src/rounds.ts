import { type Measurement, measure } from './measure.js';
import type { Way } from './rig.js';

export type Measured = ReadonlyMap<string, readonly Measurement[]>;

/**
 * Measures the ways interleaved, A B C A B C, so that a machine that gets slower slows all of them. The first round warms up
 * caches and compilers and does not count.
 */
export async function measureRounds(ways: readonly Way[], rounds: number, tell: (line: string) => void): Promise<Measured> {
  const measured = new Map<string, Measurement[]>(ways.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const way of ways) {
      const measurement = await measure(way);
      const counted = round === 0 ? 'warm-up' : `round ${round}`;
      tell(`${counted}: ${way.name}: cycle ${measurement.cycleMs.toFixed(0)} ms, gap ${measurement.gapMs.toFixed(0)} ms`);
      if (round > 0) measured.get(way.name)?.push(measurement);
    }
  }
  return measured;
}
