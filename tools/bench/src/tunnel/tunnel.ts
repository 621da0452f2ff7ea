import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ferryWays, withRigs } from '../bench.js';
import { type BenchGuest, linux } from '../bench-guest.js';
import { GuestLost, type Measurement, measure } from '../measure.js';
import type { Way } from '../rig.js';

const memoryMib = 1_024;
const fillMib = 700;
const dirtyMib = 50;

/**
 * Where the machine is itself a guest, its host takes freed memory back after some seconds and gives it anew page by page, so that a
 * destination's fresh memory is fast or slow by how long ago another QEMU has ended. After this rest it is as slow for every way.
 */
export const restMs = 5_000;

/** QEMU to QEMU over TCP, with vmferry's parameters and no agent. */
export const control = 'QEMU alone, tcp';
export const [direct, tunnelled] = ferryWays;
/** The same with the destination's QEMU listening, as libvirt has it. */
export const directTcp = 'vmferry direct, tcp:';

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

/**
 * Measures the ways interleaved until each has its rounds, each round beginning with another way, so that none of them always comes after
 * the same one. `folder` is empty and has a short path.
 */
export async function measureTunnel(
  folder: string,
  guest: BenchGuest,
  { rounds, faultedIn }: { readonly rounds: number; readonly faultedIn: boolean },
  tell: (line: string) => void,
): Promise<TunnelSamples> {
  const samples = new Map<string, Samples>(
    [control, direct, directTcp, tunnelled].map((name) => [name, { rounds: [], warmUps: [], lost: 0 }]),
  );
  const isDone = () => [...samples.values()].every((of) => of.rounds.length >= rounds);
  for (let life = 0; !isDone(); life += 1) {
    const own = join(folder, String(life));
    await mkdir(own, { mode: 0o711 });
    await withRigs(own, guest, (lone, agents) => {
      const ways = [
        lone.way(control, { transport: 'tcp', parameters: 'careful' }),
        agents.way(direct, ['LIVE']),
        agents.way(directTcp, ['LIVE'], 'tcp:127.0.0.1'),
        agents.way(tunnelled, ['LIVE', 'TUNNELLED']),
      ];
      return untilLost(ways, samples, { rounds, restMs: faultedIn ? 0 : restMs }, tell);
    });
  }
  return samples;
}

/** A round that warms up, then round by round until all are done or a guest is lost. */
async function untilLost(
  ways: readonly Way[],
  samples: TunnelSamples,
  o: { readonly rounds: number; readonly restMs: number },
  tell: (line: string) => void,
): Promise<void> {
  for (let round = 0; round <= o.rounds; round += 1) {
    for (const way of [...ways.slice(round % ways.length), ...ways.slice(0, round % ways.length)]) {
      const of = samples.get(way.name);
      if (of === undefined || of.rounds.length >= o.rounds) continue;
      try {
        if (o.restMs > 0) await setTimeout(o.restMs);
        const measurement = await measure(way);
        (round === 0 ? of.warmUps : of.rounds).push(measurement);
        tell(`${round === 0 ? 'warm-up' : `round ${of.rounds.length} of ${o.rounds}`}: ${way.name}: ${inWords(measurement)}`);
      } catch (thrown) {
        if (!(thrown instanceof GuestLost)) throw thrown;
        of.lost += 1;
        tell(`${way.name}: ${thrown.message}; repeated`);
        if (of.lost > o.rounds + 2) throw new Error(`${way.name} has lost ${of.lost} guests in ${of.rounds.length} rounds.`);
        return;
      }
    }
  }
}

function inWords(measurement: Measurement): string {
  const { qemuTotalMs, qemuDowntimeMs, gapMs, passes } = measurement;
  return `${qemuTotalMs} ms, ${passes} passes, downtime ${qemuDowntimeMs} ms, gap ${gapMs.toFixed(0)} ms`;
}
