import { writeFile } from 'node:fs/promises';
import { type BenchArguments, readArguments, usage } from './arguments.js';
import { benchGuestIn, controls, ferryWays } from './bench.js';
import { benchGuest } from './bench-guest.js';
import { gapMsMax, measureGaps } from './downtime.js';
import { gapTable, gapVerdicts } from './downtime-report.js';
import { runPump } from './pump/run-pump.js';
import { parametersInWords } from './qmp-alone.js';
import { table, type Verdict, verdictLine, verdicts } from './report.js';
import type { Measured } from './rounds.js';
import { runStreams } from './streams/run-streams.js';
import { inFolder, load, machine, say, tell } from './surroundings.js';
import { runTunnel } from './tunnel/run-tunnel.js';

try {
  const args = readArguments(process.argv.slice(2));
  if (args === null) say(usage);
  else await run(args);
} catch (error) {
  tell(error instanceof Error ? error.message : String(error));
  tell(usage);
  process.exitCode = 1;
}

async function run(args: BenchArguments): Promise<void> {
  switch (args.bench) {
    case 'tunnel':
      return runTunnel(args);
    case 'pump':
      return runPump(args);
    case 'streams':
      return runStreams(args);
    case 'cycle':
      return args.downtimes === null ? runCycles(args) : runDowntimes(args, args.downtimes);
  }
}

async function runCycles(args: BenchArguments): Promise<void> {
  say(`${args.rounds} rounds, interleaved, after one that warms up; medians (min-max). ${machine}, TCG; load ${load()}.`);
  say(`QMP alone, careful: ${parametersInWords.careful}. Defaults: ${parametersInWords.defaults}.`);
  const results = [];
  for (const name of args.guests) {
    const guest = await benchGuest(name, args);
    const measured = await inFolder((folder) => benchGuestIn(folder, guest, args.rounds, tell));
    say(`\n${guest.title}`);
    for (const line of table(measured, controls)) say(line);
    const judged =
      name === 'idle' ? ferryWays.flatMap((way) => controls.flatMap((control) => verdicts(measured, way, control))) : [];
    for (const verdict of judged) say(verdictLine(verdict));
    results.push(asJson(guest.title, measured, judged));
  }
  say(`\nLoad at the end: ${load()}.`);
  if (args.json !== null)
    await writeFile(args.json, `${JSON.stringify({ arguments: args, machine, controls, guests: results }, null, 2)}\n`);
}

/** The exit code tells whether the goal is met. */
async function runDowntimes(args: BenchArguments, migrations: number): Promise<void> {
  say(`${migrations} migrations of each way, interleaved. ${machine}, TCG; load ${load()}.`);
  const results = [];
  for (const name of args.guests) {
    const guest = await benchGuest(name, args);
    const measured = await inFolder((folder) => measureGaps(folder, guest, migrations, tell));
    say(`\n${guest.title}`);
    for (const line of gapTable(measured)) say(line);
    const judged = gapVerdicts(measured, ferryWays);
    for (const verdict of judged) say(verdict);
    if (judged.some((verdict) => verdict.startsWith('NOT'))) process.exitCode = 1;
    results.push({ guest: guest.title, ways: [...measured].map(([way, gaps]) => ({ way, ...gaps })) });
  }
  say(`\nLoad at the end: ${load()}.`);
  if (args.json !== null)
    await writeFile(args.json, `${JSON.stringify({ arguments: args, machine, gapMsMax, guests: results }, null, 2)}\n`);
}

function asJson(guest: string, measured: Measured, goals: readonly Verdict[]): object {
  return { guest, goals, ways: [...measured].map(([way, rounds]) => ({ way, rounds })) };
}
