import { align, cell, goalLine } from '../report.js';
import { summarise } from '../statistics.js';
import type { PairCase, PairSample } from './pair-bench.js';
import { mibPerSecond, perGib } from './pump-report.js';
import type { PumpFigures } from './pumped-stream.js';

/** What the project promises of TLS between relays that have a core each, of the plain tunnel's throughput. */
const ratioMin = 0.7;

export type PairSamples = ReadonlyMap<PairCase, readonly PairSample[]>;

const cpuPerGib = (end: (sample: PairSample) => PumpFigures) => perGib((sample: PairSample) => end(sample).cpuSeconds);

const columns: readonly { readonly title: string; readonly of: (sample: PairSample) => number; readonly digits: number }[] = [
  { title: 'MiB/s', of: mibPerSecond, digits: 0 },
  { title: 'sending pump CPU s/GiB', of: cpuPerGib(({ sending }) => sending), digits: 2 },
  { title: 'receiving pump CPU s/GiB', of: cpuPerGib(({ receiving }) => receiving), digits: 2 },
  { title: 'stalls/GiB', of: perGib(({ sending, receiving }) => sending.stalls + receiving.stalls), digits: 0 },
];

/** One row for each direction, plain and by TLS below each other. */
export function pairTable(samples: PairSamples): string[] {
  const rows = [...samples].map(([{ direction, between }, rounds]) => [
    `two pumps, ${direction}, ${between}`,
    ...columns.map(({ of, digits }) => cell(rounds.map(of), digits)),
  ]);
  return align([['', ...columns.map(({ title }) => title)], ...rows]);
}

export interface PairVerdict {
  readonly ratio: number;
  readonly ratioMin: number;
  readonly met: boolean;
}

/** By the medians of the rounds of both directions together: a migration has its memory in one and its return path in the other. */
export function pairVerdict(samples: PairSamples): PairVerdict {
  const ratio = medianOf(samples, 'TLS') / medianOf(samples, 'plain');
  return { ratio, ratioMin, met: ratio >= ratioMin };
}

function medianOf(samples: PairSamples, way: PairCase['between']): number {
  return summarise([...samples].flatMap(([{ between }, rounds]) => (between === way ? rounds.map(mibPerSecond) : []))).median;
}

export function pairVerdictLine({ ratio, ratioMin: goal, met }: PairVerdict): string {
  const measured = `${ratio.toFixed(2)} x the plain tunnel (goal ${goal})`;
  return goalLine({ goal: 'TLS between relays', measured, met });
}
