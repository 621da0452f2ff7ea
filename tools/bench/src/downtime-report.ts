import { type Gaps, gapMsMax } from './downtime.js';
import { align } from './report.js';
import { percentile, summarise } from './statistics.js';

/** How the largest gaps of each way are distributed. */
export function gapTable(measured: ReadonlyMap<string, Gaps>): string[] {
  const head = ['largest tick gap, ms', 'migrations', 'median', 'p95', 'max', `over ${gapMsMax} ms`, 'guests lost'];
  const rows = [...measured].map(([name, { gapsMs, lost }]) => {
    const { median, max } = summarise(gapsMs);
    const figures = [median, percentile(gapsMs, 95), max].map((ms) => ms.toFixed(0));
    return [name, String(gapsMs.length), ...figures, String(overGoal(gapsMs)), String(lost)];
  });
  return align([head, ...rows]);
}

/** The goal is vmferry's; what QEMU does by itself stands beside it. */
export function gapVerdicts(measured: ReadonlyMap<string, Gaps>, ways: readonly string[]): string[] {
  return ways.map((way) => {
    const { gapsMs = [] } = measured.get(way) ?? {};
    const over = overGoal(gapsMs);
    return `${over === 0 && gapsMs.length > 0 ? 'met    ' : 'NOT MET'}  ${way}: no gap over ${gapMsMax} ms: ${over} of ${gapsMs.length}`;
  });
}

const overGoal = (gapsMs: readonly number[]): number => gapsMs.filter((ms) => ms > gapMsMax).length;
