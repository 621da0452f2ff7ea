import { expect, it } from 'vitest';
import type { PairCase, PairSample } from './pair-bench.js';
import { pairTable, pairVerdict, pairVerdictLine } from './pair-report.js';

const sample = (mibPerSecond: number): PairSample => ({
  bytes: 2 ** 29,
  seconds: 512 / mibPerSecond,
  sending: { cpuSeconds: 0.1, spliceCalls: 4_096, stalls: 10 },
  receiving: { cpuSeconds: 0.2, spliceCalls: 4_096, stalls: 5 },
});

const samplesWith = (tls: readonly number[]) =>
  new Map<PairCase, PairSample[]>([
    [{ direction: 'unix to tcp', between: 'plain' }, [1_000, 1_000].map(sample)],
    [{ direction: 'unix to tcp', between: 'TLS' }, tls.map(sample)],
    [{ direction: 'tcp to unix', between: 'plain' }, [1_000].map(sample)],
    [{ direction: 'tcp to unix', between: 'TLS' }, [700].map(sample)],
  ]);

it('shows what a GiB costs at each end, plain and by TLS', () => {
  const [head, plain, encrypted, ...others] = pairTable(samplesWith([300, 200]));
  expect(head).toMatch(/MiB\/s +sending pump CPU s\/GiB +receiving pump CPU s\/GiB +stalls\/GiB$/);
  expect(plain).toMatch(/^two pumps, unix to tcp, plain +1000 \(1000-1000\) +0\.20 .* 0\.40 .* 30 \(30-30\)$/);
  expect(encrypted).toMatch(/^two pumps, unix to tcp, TLS +250 \(200-300\) /);
  expect(others).toHaveLength(2);
});

it('holds the median of TLS against the plain one, over both directions', () => {
  expect(pairVerdictLine(pairVerdict(samplesWith([300, 200])))).toBe(
    'MISSED  TLS between relays: 0.30 x the plain tunnel (goal 0.7)',
  );
  expect(pairVerdictLine(pairVerdict(samplesWith([900, 200])))).toBe(
    'met     TLS between relays: 0.70 x the plain tunnel (goal 0.7)',
  );
});
