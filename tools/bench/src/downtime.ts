import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ferryWays, withRigs } from './bench.js';
import type { BenchGuest } from './bench-guest.js';
import { GuestLost, measure } from './measure.js';
import type { Way } from './rig.js';

/** What a guest may stand still for, seen from outside. */
export const gapMsMax = 300;

/** The largest gap between two ticks of each migration of one way, and how often the guest did not survive it. */
export interface Gaps {
  readonly gapsMs: number[];
  lost: number;
}

/** What is measured beside vmferry: QEMU as it is when nobody tells it anything. */
const control = 'QMP alone, defaults, unix';

/**
 * Migrates the guest `rounds` times each way, interleaved. A guest that TCG loses (qemu-behaviour) is booted anew with its rigs, the
 * migration is repeated, and the loss is counted; a migration that fails is no such loss and is thrown. `folder` is empty and has a short path.
 */
export async function measureGaps(
  folder: string,
  guest: BenchGuest,
  rounds: number,
  tell: (line: string) => void,
): Promise<ReadonlyMap<string, Gaps>> {
  const measured = new Map<string, Gaps>([...ferryWays, control].map((name) => [name, { gapsMs: [], lost: 0 }]));
  const isDone = () => [...measured.values()].every(({ gapsMs }) => gapsMs.length >= rounds);
  for (let life = 0; !isDone(); life += 1) {
    const own = join(folder, String(life));
    await mkdir(own, { mode: 0o711 });
    await withRigs(own, guest, (lone, agents) => {
      const [direct, tunnelled] = ferryWays;
      const ways = [
        agents.way(direct, ['LIVE']),
        lone.way(control, { transport: 'unix', parameters: 'defaults' }),
        agents.way(tunnelled, ['LIVE', 'TUNNELLED']),
      ];
      return untilLost(ways, measured, rounds, tell);
    });
  }
  return measured;
}

/** Round by round until all are done, or a guest is lost. */
async function untilLost(
  ways: readonly Way[],
  measured: ReadonlyMap<string, Gaps>,
  rounds: number,
  tell: (line: string) => void,
): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    for (const way of ways) {
      const gaps = measured.get(way.name);
      if (gaps === undefined || gaps.gapsMs.length >= rounds) continue;
      try {
        const { gapMs } = await measure(way);
        gaps.gapsMs.push(gapMs);
        tell(`${way.name}: ${gaps.gapsMs.length} of ${rounds}: gap ${gapMs.toFixed(0)} ms`);
      } catch (thrown) {
        if (!(thrown instanceof GuestLost)) throw thrown;
        gaps.lost += 1;
        tell(`${way.name}: ${thrown.message}; repeated`);
        if (gaps.lost > rounds) throw new Error(`${way.name} has lost ${gaps.lost} guests in ${gaps.gapsMs.length} rounds.`);
        return;
      }
    }
  }
}
