import { expect, it } from 'vitest';
import type { Measurement } from './measure.js';
import { table, verdictLine, verdicts } from './report.js';

function measured(cycleMs: number, gapMs: number): Measurement {
  const qemu = { qemuTotalMs: 50, qemuDowntimeMs: 5, qemuSetupMs: 1, transferredBytes: 2 ** 20, passes: 2 };
  return {
    cycleMs,
    gapMs,
    toldMs: cycleMs,
    ...qemu,
    cpuSeconds: 0.1,
    relayCpuSeconds: 0,
    agentCpuSeconds: 0,
    relayGrowthMib: [],
  };
}

const rounds = new Map([
  ['QMP alone, tcp', [measured(100, 20), measured(110, 22), measured(90, 60)]],
  ['vmferry', [measured(120, 31), measured(900, 32), measured(132, 90)]],
]);

it('compares the medians, not the means', () => {
  expect(verdicts(rounds, 'vmferry', 'QMP alone, tcp').map(({ value, met }) => [value, met])).toEqual([
    ['1.32 x', false],
    ['10.0 ms', true],
  ]);
});

it('says plainly which goal is not met', () => {
  const [cycle] = verdicts(rounds, 'vmferry', 'QMP alone, tcp').map(verdictLine);
  expect(cycle).toBe('NOT MET  vmferry against QMP alone, tcp: whole cycle at most 1.2 x: 1.32 x');
});

it('gives each way a row with medians, ranges and comparisons, in columns', () => {
  const [head, control, way] = table(rounds, ['QMP alone, tcp']);
  expect(head).toMatch(/cycle ms.*tick gap ms.*CPU s +cycle x tcp +gap \+ tcp$/);
  expect(control).toMatch(/^QMP alone, tcp +100 \(90-110\) .* 1\.00 +0\.0$/);
  expect(way).toMatch(/^vmferry +132 \(120-900\) .* 32\.0 \(31\.0-90\.0\) .* 1\.32 +10\.0$/);
  expect(new Set([head, control, way].map((row) => row?.length)).size).toBe(1);
});
