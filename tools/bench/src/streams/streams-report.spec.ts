import { expect, it } from 'vitest';
import type { StreamsSample } from './streams-bench.js';
import { streamsFits, streamsTable } from './streams-report.js';

function sample(streams: number, grewMib: number, relayCpuSeconds: number): StreamsSample {
  return { streams, bytes: 2 ** 30, seconds: 2, relayCpuSeconds, agentCpuSeconds: 0, relayGrowthMib: [grewMib, 1] };
}

const samples = new Map([
  [1, [sample(1, 6, 0.5)]],
  [8, [sample(8, 41, 0.6), sample(8, 40, 0.4), sample(8, 43, 0.7)]],
  [16, [sample(16, 81, 0.5)]],
]);

it('gives each number of streams a row, with what one of them costs', () => {
  const [head, , eight] = streamsTable(samples);
  expect(head).toMatch(/^streams +MiB\/s of all +relays CPU s\/GiB +relays CPU ms\/stream +a relay grew MiB +MiB\/stream$/);
  expect(eight).toMatch(
    /^8 +512 \(512-512\) +0\.60 \(0\.40-0\.70\) +75 \(50-88\) +41\.0 \(40\.0-43\.0\) +5\.13 \(5\.00-5\.38\)$/,
  );
});

it('tells whether the growth is a straight line, by the medians', () => {
  expect(streamsFits(samples)).toEqual([
    'memory of a relay: 1.00 + 5.00 x streams MiB, r2 1.000: linear',
    expect.stringMatching(/^CPU of both relays: .* r2 0\.\d+: not linear$/),
  ]);
});
