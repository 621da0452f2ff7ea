import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ferryWays, withRigs } from '../bench.js';
import { type BenchGuest, linux } from '../bench-guest.js';
import { GuestLost, type Measurement, measure } from '../measure.js';
import type { Way } from '../rig.js';

const memoryMib = 1_024;
const fillMib = 700;
const dirtyMib = 50;

/** QEMU to QEMU over TCP, with vmferry's parameters and no agent. */
export const control = 'QEMU alone, tcp';
export const [direct, tunnelled] = ferryWays;

/** One guest in one kind of memory. */
export interface Variant {
  readonly faultedIn: boolean;
  readonly dirtying: boolean;
}

export const variants: readonly Variant[] = [false, true].flatMap((faultedIn) =>
  [false, true].map((dirtying) => ({ faultedIn, dirtying })),
);

export function variantGuest({ faultedIn, dirtying }: Variant): Promise<BenchGuest> {
  const what = dirtying ? `rewriting ${dirtyMib} MiB/s` : 'idle';
  const memory = faultedIn ? "the destination's memory faulted in beforehand" : "the destination's memory as is";
  const title = `Linux guest of ${memoryMib} MiB, ${fillMib} MiB of it incompressible, ${what}; ${memory}`;
  return linux({ title, memoryKib: memoryMib * 1_024, fillMib, dirtyMib: dirtying ? dirtyMib : 0, faultedIn });
}

/** What one way has shown. */
export interface Samples {
  readonly rounds: Measurement[];
  /** Rounds that warmed up: they count only for the memory of relays that had carried nothing before. */
  readonly warmUps: Measurement[];
  /** How often TCG has lost the guest (qemu-behaviour): the round was repeated with a new one. */
  lost: number;
}

export type TunnelSamples = ReadonlyMap<string, Samples>;

/** Measures the ways interleaved until each has its rounds; `folder` is empty and has a short path. */
export async function measureTunnel(
  folder: string,
  guest: BenchGuest,
  rounds: number,
  tell: (line: string) => void,
): Promise<TunnelSamples> {
  const samples = new Map<string, Samples>(
    [control, direct, tunnelled].map((name) => [name, { rounds: [], warmUps: [], lost: 0 }]),
  );
  const isDone = () => [...samples.values()].every((of) => of.rounds.length >= rounds);
  for (let life = 0; !isDone(); life += 1) {
    const own = join(folder, String(life));
    await mkdir(own, { mode: 0o711 });
    await withRigs(own, guest, (lone, agents) => {
      const ways = [
        lone.way(control, { transport: 'tcp', parameters: 'careful' }),
        agents.way(direct, ['LIVE']),
        agents.way(tunnelled, ['LIVE', 'TUNNELLED']),
      ];
      return untilLost(ways, samples, rounds, tell);
    });
  }
  return samples;
}

/** A round that warms up, then round by round until all are done or a guest is lost. */
async function untilLost(
  ways: readonly Way[],
  samples: TunnelSamples,
  rounds: number,
  tell: (line: string) => void,
): Promise<void> {
  for (let round = 0; round <= rounds; round += 1) {
    for (const way of ways) {
      const of = samples.get(way.name);
      if (of === undefined || of.rounds.length >= rounds) continue;
      try {
        const measurement = await measure(way);
        (round === 0 ? of.warmUps : of.rounds).push(measurement);
        tell(`${round === 0 ? 'warm-up' : `round ${of.rounds.length} of ${rounds}`}: ${way.name}: ${inWords(measurement)}`);
      } catch (thrown) {
        if (!(thrown instanceof GuestLost)) throw thrown;
        of.lost += 1;
        tell(`${way.name}: ${thrown.message}; repeated`);
        if (of.lost > rounds + 2) throw new Error(`${way.name} has lost ${of.lost} guests in ${of.rounds.length} rounds.`);
        return;
      }
    }
  }
}

function inWords(measurement: Measurement): string {
  const { qemuTotalMs, qemuDowntimeMs, gapMs, passes } = measurement;
  return `${qemuTotalMs} ms, ${passes} passes, downtime ${qemuDowntimeMs} ms, gap ${gapMs.toFixed(0)} ms`;
}
