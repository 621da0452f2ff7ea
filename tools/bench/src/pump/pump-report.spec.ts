import { expect, it } from 'vitest';
import type { PumpCase, PumpSample } from './pump-bench.js';
import { pumpTable } from './pump-report.js';

const sample = (seconds: number): PumpSample => ({ bytes: 2 ** 29, seconds, cpuSeconds: 0.1, spliceCalls: 4_096, stalls: 10 });

it('shows each direction together, what a GiB costs, and which size the relay takes', () => {
  const cases: [PumpCase, PumpSample[]][] = [
    [{ direction: 'unix to tcp', pipeBytes: 65_536 }, [sample(1)]],
    [{ direction: 'tcp to unix', pipeBytes: 65_536 }, [sample(1), sample(2), sample(0.5)]],
    [{ direction: 'unix to tcp', pipeBytes: 131_072 }, [sample(1)]],
  ];
  const [head, first, second, third] = pumpTable(new Map(cases), 131_072);
  expect(head).toMatch(/MiB\/s +pump CPU s\/GiB +splice calls\/GiB +KiB\/call +stalls\/GiB$/);
  expect(first).toMatch(/^tcp to unix, pipe 64 KiB +512 \(256-1024\) +0\.20 .* 8192 .* 128 .* 20 \(20-20\)$/);
  expect(second).toMatch(/^unix to tcp, pipe 64 KiB {2}/);
  expect(third).toMatch(/^unix to tcp, pipe 128 KiB \*/);
});
