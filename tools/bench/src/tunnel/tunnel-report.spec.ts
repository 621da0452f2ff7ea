import { expect, it } from 'vitest';
import type { Measurement } from '../measure.js';
import { goalLine } from '../report.js';
import { control, direct, directTcp, type Samples, tunnelled } from './tunnel.js';
import { mibPerSecond, tunnelTable, tunnelVerdicts } from './tunnel-report.js';

/** A migration of 1 GiB in so many milliseconds after 24 ms of set-up. */
function round(transferMs: number, o: Partial<Measurement> = {}): Measurement {
  const qemu = { qemuTotalMs: transferMs + 24, qemuDowntimeMs: 10, qemuSetupMs: 24, transferredBytes: 2 ** 30, passes: 3 };
  const apps = { cpuSeconds: 0.5, relayCpuSeconds: 0.3, agentCpuSeconds: 0.1, relayGrowthMib: [1, 2] };
  return { cycleMs: 2_000, gapMs: 20, toldMs: 1_900, ...qemu, ...apps, ...o };
}

const of = (rounds: Measurement[], warmUps: Measurement[] = []): Samples => ({ rounds, warmUps, lost: 1 });

const samples = new Map([
  [control, of([round(1_000), round(1_280), round(1_024)])],
  [direct, of([round(1_000), round(1_024), round(2_000)])],
  [tunnelled, of([round(1_024), round(1_280), round(4_000)], [round(9_000, { relayGrowthMib: [9, 0] })])],
]);

const metOf = (faultedIn: boolean, of = samples) => tunnelVerdicts(of, { faultedIn, dirtying: false }).map(({ met }) => met);

it("takes QEMU's bytes over its time without its set-up", () => {
  expect(mibPerSecond(round(1_000))).toBe(1_024);
  expect(mibPerSecond(round(2_000, { transferredBytes: 2 ** 20 }))).toBe(0.5);
});

it('gives each way a row, with CPU by what was sent and the growth of the warm-up', () => {
  const [head, alone, , through] = tunnelTable(samples);
  expect(head).toMatch(/MiB\/s +relays CPU s\/GiB.*relay grew MiB +guests lost$/);
  expect(alone).toMatch(/^QEMU alone, tcp +1000 \(800-1024\) +0\.30 \(0\.30-0\.30\) .* 2\.0 +1$/);
  expect(through).toMatch(/^vmferry tunnelled +800 \(256-1000\) .* 9\.0 +1$/);
});

it('judges the medians, with another ratio where memory is faulted in, and the growth in every migration', () => {
  expect(metOf(false)).toEqual([false, true, true, false, true, true]);
  expect(metOf(true)).toEqual([true, true, true, false, true, true]);
});

it('judges added downtime twice, and direct by the slowest round of the control', () => {
  const slow = of([round(1_300)]);
  const late = of([round(1_300, { qemuDowntimeMs: 15, gapMs: 24.9, relayCpuSeconds: 0.4 })]);
  const other = new Map([...samples, [direct, slow], [tunnelled, late]]);
  expect(metOf(false, other)).toEqual([true, false, false, true, false, true]);
});

it('says what was measured beside the goal', () => {
  const [ratio, against] = tunnelVerdicts(samples, { faultedIn: false, dirtying: false }).map(goalLine);
  expect(ratio).toBe('MISSED  tunnelled at least 0.95 x direct: 0.80 x (0.50-0.98 by round)');
  expect(against).toMatch(/^met {5}direct as fast as QEMU alone, tcp: .* round, 800 MiB\/s: 1000 MiB\/s, 1\.00 x/);
});

it('judges direct by a tcp: URI too, where it was measured', () => {
  const more = new Map([...samples, [directTcp, of([round(1_000)])]]);
  const verdicts = tunnelVerdicts(more, { faultedIn: false, dirtying: false });
  expect(verdicts.map(({ met }) => met)).toEqual([false, true, true, true, false, true, true]);
  expect(verdicts[2]?.goal).toMatch(/^direct by a tcp: URI as fast as/);
});
