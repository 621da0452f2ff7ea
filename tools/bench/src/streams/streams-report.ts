import { align, cell } from '../report.js';
import { fitLine, summarise } from '../statistics.js';
import type { StreamsSample } from './streams-bench.js';

export type StreamsSamples = ReadonlyMap<number, readonly StreamsSample[]>;

/** The larger of the two relays. */
const grew = ({ relayGrowthMib }: StreamsSample) => Math.max(...relayGrowthMib);

const columns: readonly { readonly title: string; readonly of: (sample: StreamsSample) => number; readonly digits: number }[] = [
  { title: 'MiB/s of all', of: ({ bytes, seconds }) => bytes / 2 ** 20 / seconds, digits: 0 },
  { title: 'relays CPU s/GiB', of: ({ relayCpuSeconds, bytes }) => (relayCpuSeconds * 2 ** 30) / bytes, digits: 2 },
  { title: 'relays CPU ms/stream', of: ({ relayCpuSeconds, streams }) => (relayCpuSeconds * 1_000) / streams, digits: 0 },
  { title: 'a relay grew MiB', of: grew, digits: 1 },
  { title: 'MiB/stream', of: (sample) => grew(sample) / sample.streams, digits: 2 },
];

export function streamsTable(samples: StreamsSamples): string[] {
  const rows = [...samples].map(([streams, rounds]) => [
    String(streams),
    ...columns.map(({ of, digits }) => cell(rounds.map(of), digits)),
  ]);
  return align([['streams', ...columns.map(({ title }) => title)], ...rows]);
}

/** A growth is called linear when a straight line explains this much of it. */
const rSquaredMin = 0.98;

/** What one more stream costs: the slope of the medians, and how straight their line is. The bytes of all streams together are the same. */
export function streamsFits(samples: StreamsSamples): string[] {
  const line = (title: string, unit: string, of: (sample: StreamsSample) => number, digits: number) => {
    const points = [...samples].map(([streams, rounds]) => [streams, summarise(rounds.map(of)).median] as const);
    const { slope, intercept, rSquared } = fitLine(points);
    const verdict = rSquared >= rSquaredMin ? 'linear' : 'not linear';
    const fit = `${intercept.toFixed(digits)} + ${slope.toFixed(digits)} x streams ${unit}`;
    return `${title}: ${fit}, r2 ${rSquared.toFixed(3)}: ${verdict}`;
  };
  return [
    line('memory of a relay', 'MiB', grew, 2),
    line('CPU of both relays', 's', ({ relayCpuSeconds }) => relayCpuSeconds, 3),
  ];
}
