import type { Measurement } from '../measure.js';
import { align, cell, type GoalVerdict } from '../report.js';
import { summarise } from '../statistics.js';
import { control, direct, directTcp, type Samples, type TunnelSamples, tunnelled, type Variant } from './tunnel.js';

const gib = 2 ** 30;

/** QEMU's count of what it sent for the guest's memory, over its own time from the end of its set-up until it said `completed`. */
export function mibPerSecond({ transferredBytes, qemuTotalMs, qemuSetupMs }: Measurement): number {
  return transferredBytes / 2 ** 20 / ((qemuTotalMs - qemuSetupMs) / 1_000);
}

const perGib = (cpuSeconds: number, { transferredBytes }: Measurement) => (cpuSeconds * gib) / transferredBytes;

const figures = {
  speed: { title: 'MiB/s', of: mibPerSecond, digits: 0 },
  relayCpu: { title: 'relays CPU s/GiB', of: (m: Measurement) => perGib(m.relayCpuSeconds, m), digits: 2 },
  agentCpu: { title: 'agents CPU s/GiB', of: (m: Measurement) => perGib(m.agentCpuSeconds, m), digits: 2 },
  downtime: { title: 'QEMU down ms', of: (m: Measurement) => m.qemuDowntimeMs, digits: 0 },
  gap: { title: 'tick gap ms', of: (m: Measurement) => m.gapMs, digits: 1 },
  sent: { title: 'sent MiB', of: (m: Measurement) => m.transferredBytes / 2 ** 20, digits: 0 },
  passes: { title: 'passes', of: (m: Measurement) => m.passes, digits: 0 },
} as const;

/** One row for each way: medians with their range. */
export function tunnelTable(samples: TunnelSamples): string[] {
  const columns = Object.values(figures);
  const head = ['', ...columns.map(({ title }) => title), 'relay grew MiB', 'guests lost'];
  const rows = [...samples].map(([name, of]) => [
    name,
    ...columns.map((column) => cell(of.rounds.map(column.of), column.digits)),
    grew(of).toFixed(1),
    String(of.lost),
  ]);
  return align([head, ...rows]);
}

/** The relay that grew most in any migration, among them the first that it has carried. */
function grew({ rounds, warmUps }: Samples): number {
  return Math.max(0, ...[...warmUps, ...rounds].flatMap(({ relayGrowthMib }) => relayGrowthMib));
}

/** What the project promises of the tunnel, by medians unless it says otherwise. */
export const goals = {
  ratioAsIs: 0.95,
  ratioFaultedIn: 0.75,
  relayCpuSecondsPerGib: 0.35,
  relayGrowthMib: 8,
  addedDowntimeMs: 5,
};

export function tunnelVerdicts(samples: TunnelSamples, { faultedIn }: Variant): GoalVerdict[] {
  const of = (name: string) => samples.get(name) ?? { rounds: [], warmUps: [], lost: 0 };
  const [alone, ferried, through] = [of(control), of(direct), of(tunnelled)];
  const ratioMin = faultedIn ? goals.ratioFaultedIn : goals.ratioAsIs;
  const ratio = median(through, figures.speed) / median(ferried, figures.speed);
  const cpu = median(through, figures.relayCpu);
  const growth = grew(through);
  return [
    {
      goal: `tunnelled at least ${ratioMin} x direct`,
      measured: `${ratio.toFixed(2)} x (${ratiosByRound(through, ferried)} by round)`,
      met: ratio >= ratioMin,
    },
    againstNoise('direct', ferried, alone),
    ...(samples.has(directTcp) ? [againstNoise('direct by a tcp: URI', of(directTcp), alone)] : []),
    {
      goal: `relays of both ends at most ${goals.relayCpuSecondsPerGib} CPU s/GiB`,
      measured: cpu.toFixed(3),
      met: cpu <= goals.relayCpuSecondsPerGib,
    },
    {
      goal: `a relay grows by less than ${goals.relayGrowthMib} MiB for its stream, in every migration`,
      measured: `${growth.toFixed(1)} MiB`,
      met: growth < goals.relayGrowthMib,
    },
    ...([figures.downtime, figures.gap] as const).map((figure) => added(through, ferried, figure)),
  ];
}

/** The noise is the control's own: its slowest round is as slow as QEMU alone can be in this run. */
function againstNoise(way: string, ferried: Samples, alone: Samples): GoalVerdict {
  const speed = median(ferried, figures.speed);
  const { median: usual, min } = summarise(alone.rounds.map(mibPerSecond));
  return {
    goal: `${way} as fast as ${control}: its median at least the control's slowest round, ${min.toFixed(0)} MiB/s`,
    measured: `${speed.toFixed(0)} MiB/s, ${(speed / usual).toFixed(2)} x the control's median`,
    met: speed >= min,
  };
}

function added(through: Samples, ferried: Samples, figure: Figure): GoalVerdict {
  const moreMs = median(through, figure) - median(ferried, figure);
  return {
    goal: `tunnelled adds less than ${goals.addedDowntimeMs} ms of ${figure.title.replace(/ ms$/, '')} to direct`,
    measured: `${moreMs.toFixed(1)} ms`,
    met: moreMs < goals.addedDowntimeMs,
  };
}

type Figure = (typeof figures)[keyof typeof figures];

function median({ rounds }: Samples, { of }: Figure): number {
  return summarise(rounds.map(of)).median;
}

function ratiosByRound(of: Samples, against: Samples): string {
  const ratios = of.rounds.flatMap((round, index) => {
    const other = against.rounds[index];
    return other === undefined ? [] : [mibPerSecond(round) / mibPerSecond(other)];
  });
  const { min, max } = summarise(ratios);
  return `${min.toFixed(2)}-${max.toFixed(2)}`;
}
