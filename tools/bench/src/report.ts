import type { Measurement } from './measure.js';
import type { Measured } from './rounds.js';
import { summarise } from './statistics.js';

/** What the project promises for an idle 80 MiB guest, against QMP alone. */
const cycleRatioMax = 1.2;
const downtimeMoreMsMax = 10;

const columns: readonly { readonly title: string; readonly of: (m: Measurement) => number; readonly digits: number }[] = [
  { title: 'cycle ms', of: (m) => m.cycleMs, digits: 0 },
  { title: 'told ms', of: (m) => m.toldMs, digits: 0 },
  { title: 'tick gap ms', of: (m) => m.gapMs, digits: 1 },
  { title: 'QEMU total ms', of: (m) => m.qemuTotalMs, digits: 0 },
  { title: 'QEMU down ms', of: (m) => m.qemuDowntimeMs, digits: 0 },
  { title: 'QEMU setup ms', of: (m) => m.qemuSetupMs, digits: 0 },
  { title: 'CPU s', of: (m) => m.cpuSeconds, digits: 2 },
];

/** The table of one guest: medians with their range, and how each way compares with each control. */
export function table(measured: Measured, controls: readonly string[]): string[] {
  const against = controls.flatMap((control) => [`cycle x ${shortOf(control)}`, `gap + ${shortOf(control)}`]);
  const rows = [['', ...columns.map(({ title }) => title), ...against]];
  for (const [name, measurements] of measured) {
    const cells = columns.map(({ of, digits }) => cell(measurements.map(of), digits));
    const comparisons = controls.map((control) => compare(measured, name, control));
    rows.push([name, ...cells, ...comparisons.flatMap(({ ratio, moreMs }) => [ratio.toFixed(2), moreMs.toFixed(1)])]);
  }
  return align(rows);
}

export interface Verdict {
  readonly way: string;
  readonly control: string;
  readonly goal: string;
  readonly value: string;
  readonly met: boolean;
}

/** Whether a way meets the goals against a control, by the medians. */
export function verdicts(measured: Measured, way: string, control: string): Verdict[] {
  const { ratio, moreMs } = compare(measured, way, control);
  const cycle = `whole cycle at most ${cycleRatioMax} x`;
  const downtime = `downtime at most ${downtimeMoreMsMax} ms more`;
  return [
    { way, control, goal: cycle, value: `${ratio.toFixed(2)} x`, met: ratio <= cycleRatioMax },
    { way, control, goal: downtime, value: `${moreMs.toFixed(1)} ms`, met: moreMs <= downtimeMoreMsMax },
  ];
}

export function verdictLine({ way, control, goal, value, met }: Verdict): string {
  return `${met ? 'met    ' : 'NOT MET'}  ${way} against ${control}: ${goal}: ${value}`;
}

function compare(measured: Measured, way: string, control: string): { ratio: number; moreMs: number } {
  const [own, base] = [goalFigures(measured, way), goalFigures(measured, control)];
  return { ratio: own.cycleMs / base.cycleMs, moreMs: own.gapMs - base.gapMs };
}

/** The last word of a control's name tells it from the others. */
function shortOf(control: string): string {
  return control.slice(control.lastIndexOf(' ') + 1);
}

function goalFigures(measured: Measured, name: string): { cycleMs: number; gapMs: number } {
  const measurements = measured.get(name) ?? [];
  return {
    cycleMs: summarise(measurements.map(({ cycleMs }) => cycleMs)).median,
    gapMs: summarise(measurements.map(({ gapMs }) => gapMs)).median,
  };
}

/** A goal that a bench measures against, and what came out. */
export interface GoalVerdict {
  readonly goal: string;
  readonly measured: string;
  readonly met: boolean;
}

export function goalLine({ goal, measured, met }: GoalVerdict): string {
  return `${met ? 'met   ' : 'MISSED'}  ${goal}: ${measured}`;
}

export function cell(values: readonly number[], digits: number): string {
  const { median, min, max } = summarise(values);
  return `${median.toFixed(digits)} (${min.toFixed(digits)}-${max.toFixed(digits)})`;
}

/** The cells of each column below each other; numbers to the right. */
export function align(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row.map((text, column) => (column === 0 ? text.padEnd(widths[0] ?? 0) : text.padStart(widths[column] ?? 0))).join('  '),
  );
}
