import { type ArrivedTick, findBreak, largestGapMs } from '@vmferry/guest-image';
import type { ListedDomain } from './vmferry.js';
import { tickText } from './voyage.js';

/** What was seen of the guest from outside: its ticks on one clock, and the domains that each host listed. */
export interface Evidence {
  readonly domain: string;
  readonly hosts: readonly [string, string];
  readonly ticks: readonly ArrivedTick[];
  readonly before: readonly [readonly ListedDomain[], readonly ListedDomain[]];
  readonly after: readonly [readonly ListedDomain[], readonly ListedDomain[]];
  /** The processes of the demo at the end. */
  readonly alive: readonly number[];
}

export interface Finding {
  readonly holds: boolean;
  readonly text: string;
}

/** The guest's clock stands still in the downtime, and the arrival of a tick may be late on a busy machine. */
const clockToleranceMs = 1_000;

/** Everything that must be true when one guest went on living on another host. The demo succeeds when all of it holds. */
export function prove(evidence: Evidence): Finding[] {
  const [here = [], there = []] = [0, 1].map((connection) => evidence.ticks.filter((tick) => tick.connection === connection));
  const lastHere = here.at(-1);
  const firstThere = there[0];
  if (lastHere === undefined || firstThere === undefined)
    return [
      {
        holds: false,
        text: `the guest printed ${here.length} ticks on ${evidence.hosts[0]} and ${there.length} on ${evidence.hosts[1]}`,
      },
    ];
  return [
    movedOnce(evidence),
    oneCopy(evidence),
    oneCounter(evidence.ticks),
    oneClock(evidence.ticks),
    memoryKept(evidence.ticks),
  ];
}

/** Listed on one host before and on the other one after, by another process, and the first process is gone. */
function movedOnce({ domain, hosts, before, after, alive }: Evidence): Finding {
  const pidOf = (listed: readonly ListedDomain[]) =>
    listed.find(({ name, state }) => name === domain && state === 'running')?.pid;
  const [pidHere, pidThere] = [pidOf(before[0]), pidOf(after[1])];
  const holds =
    pidHere !== undefined &&
    pidThere !== undefined &&
    pidHere !== pidThere &&
    before[1].length === 0 &&
    after[0].length === 0 &&
    alive.includes(pidThere) &&
    !alive.includes(pidHere);
  return {
    holds,
    text: `it was QEMU ${pidHere ?? '(none)'} on ${hosts[0]}, which is gone, and is QEMU ${pidThere ?? '(none)'} on ${hosts[1]}`,
  };
}

/** Two QEMUs were heard, one after the other, never both. */
function oneCopy({ ticks, hosts }: Evidence): Finding {
  const turns = ticks.filter((tick, index) => tick.connection !== ticks[index - 1]?.connection);
  const [first, second] = turns;
  const holds = turns.length === 2 && first?.connection === 0 && second?.connection === 1;
  const lastHere = ticks.findLast(({ connection }) => connection === 0);
  return {
    holds,
    text: `ticks ${first?.counter} to ${lastHere?.counter} came from ${hosts[0]}, ticks ${second?.counter} to ${ticks.at(-1)?.counter} from ${hosts[1]}, and never from both`,
  };
}

/** A restarted guest would count from 1, a copy of an old state would count some ticks twice. */
function oneCounter(ticks: readonly ArrivedTick[]): Finding {
  const broken = findBreak(ticks);
  return {
    holds: broken === undefined,
    text:
      broken === undefined
        ? `its counter goes from ${ticks[0]?.counter} to ${ticks.at(-1)?.counter} in steps of 1: none lost, none twice`
        : `its counter breaks: ${broken}`,
  };
}

/** A restarted guest would have an uptime near 0; a guest that went on has one that grows as our own clock does. */
function oneClock(ticks: readonly ArrivedTick[]): Finding {
  const uptimes = ticks.map(({ uptimeMs = Number.NaN }) => uptimeMs);
  const [first, last] = [ticks[0], ticks.at(-1)];
  const grows = uptimes.every((uptimeMs, index) => index === 0 || uptimeMs > (uptimes[index - 1] ?? Number.NaN));
  const advancedMs = (last?.uptimeMs ?? Number.NaN) - (first?.uptimeMs ?? Number.NaN);
  const passedMs = (last?.atMs ?? Number.NaN) - (first?.atMs ?? Number.NaN);
  const stoodMs = passedMs - advancedMs;
  const holds = grows && stoodMs > -clockToleranceMs && stoodMs < largestGapMs(ticks) + clockToleranceMs;
  return {
    holds,
    text: `its uptime only grew, from ${seconds(first?.uptimeMs)} to ${seconds(last?.uptimeMs)} s: it advanced ${seconds(advancedMs)} s while ${seconds(passedMs)} s passed here`,
  };
}

function memoryKept(ticks: readonly ArrivedTick[]): Finding {
  const right = ticks.filter(({ memory }) => memory === 'ok').length;
  return {
    holds: right === ticks.length,
    text: `it found its memory as it had written it, at ${right} of ${ticks.length} ticks`,
  };
}

/** A few of the ticks with the time of their arrival: the first, those around the change of hosts, and the last. */
export function handoverText(ticks: readonly ArrivedTick[], names: readonly [string, string]): string {
  const turn = ticks.findIndex(({ connection }) => connection === 1);
  const shown = [...ticks.slice(0, 1), ...ticks.slice(Math.max(1, turn - 2), turn + 2), ...ticks.slice(-1)];
  return shown
    .map((tick) => {
      const arrivedAt = seconds(tick.atMs - (ticks[0]?.atMs ?? 0));
      return `  ${arrivedAt.padStart(8)} s  ${names[tick.connection === 0 ? 0 : 1]}  ${tickText(tick)}`;
    })
    .join('\n');
}

/** The downtime as seen from outside: how long nobody heard of the guest when it changed hosts. */
export function downtimeText(ticks: readonly ArrivedTick[], [here, there]: readonly [string, string]): string {
  const turn = ticks.findIndex(({ connection }) => connection === 1);
  const [last, first] = [ticks[turn - 1], ticks[turn]];
  const gapMs = (first?.atMs ?? Number.NaN) - (last?.atMs ?? Number.NaN);
  const largestMs = largestGapMs(ticks);
  const other =
    largestMs > gapMs ? ` (while it ran on one host, the largest was ${largestMs.toFixed(0)} ms: this machine was busy)` : '';
  return `downtime seen from outside: ${gapMs.toFixed(0)} ms from tick ${last?.counter} of ${here} to tick ${first?.counter} of ${there}; a tick comes every 10 ms${other}`;
}

const seconds = (ms: number | undefined): string => ((ms ?? Number.NaN) / 1_000).toFixed(3);
