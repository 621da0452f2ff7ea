import { align, cell } from '../report.js';
import type { PumpCase, PumpSample } from './pump-bench.js';

interface Carried {
  readonly bytes: number;
  readonly seconds: number;
}

export const mibPerSecond = ({ bytes, seconds }: Carried): number => bytes / 2 ** 20 / seconds;

export const perGib =
  <Sample extends Carried>(of: (sample: Sample) => number) =>
  (sample: Sample): number =>
    (of(sample) * 2 ** 30) / sample.bytes;

const columns: readonly { readonly title: string; readonly of: (sample: PumpSample) => number; readonly digits: number }[] = [
  { title: 'MiB/s', of: mibPerSecond, digits: 0 },
  { title: 'pump CPU s/GiB', of: perGib(({ cpuSeconds }) => cpuSeconds), digits: 2 },
  { title: 'splice calls/GiB', of: perGib(({ spliceCalls }) => spliceCalls), digits: 0 },
  { title: 'KiB/call', of: ({ bytes, spliceCalls }) => bytes / 1_024 / spliceCalls, digits: 0 },
  { title: 'stalls/GiB', of: perGib(({ stalls }) => stalls), digits: 0 },
];

/** One row for each direction and size of pipe; the size that the relay takes has a star. */
export function pumpTable(samples: ReadonlyMap<PumpCase, readonly PumpSample[]>, chosenPipeBytes: number): string[] {
  const rows = [...samples].map(([{ direction, pipeBytes }, rounds]) => [
    `${direction}, pipe ${pipeBytes / 1_024} KiB${pipeBytes === chosenPipeBytes ? ' *' : ''}`,
    ...columns.map(({ of, digits }) => cell(rounds.map(of), digits)),
  ]);
  return align([['', ...columns.map(({ title }) => title)], ...rows.sort(([a = ''], [b = '']) => directionOf(a, b))]);
}

/** By direction, and within one in the order of measuring. */
function directionOf(a: string, b: string): number {
  return (a.split(',')[0] ?? '').localeCompare(b.split(',')[0] ?? '');
}
