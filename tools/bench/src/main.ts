import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchArguments, readArguments, usage } from './arguments.js';
import { benchGuestIn, controls, ferryWays } from './bench.js';
import { benchGuest } from './bench-guest.js';
import { gapMsMax, measureGaps } from './downtime.js';
import { gapTable, gapVerdicts } from './downtime-report.js';
import { parametersInWords } from './qmp-alone.js';
import { table, type Verdict, verdictLine, verdicts } from './report.js';
import type { Measured } from './rounds.js';

const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'an unknown CPU'}, TCG`;
const say = (line: string) => process.stdout.write(`${line}\n`);
const tell = (line: string) => process.stderr.write(`${line}\n`);

try {
  await run(readArguments(process.argv.slice(2)));
} catch (error) {
  tell(error instanceof Error ? error.message : String(error));
  tell(usage);
  process.exitCode = 1;
}

async function run(args: BenchArguments): Promise<void> {
  if (args.downtimes !== null) return runDowntimes(args, args.downtimes);
  say(`${args.rounds} rounds, interleaved, after one that warms up; medians (min-max). ${machine}; load ${load()}.`);
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
  say(`${migrations} migrations of each way, interleaved. ${machine}; load ${load()}.`);
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

async function inFolder<R>(act: (folder: string) => Promise<R>): Promise<R> {
  const folder = await mkdtemp(join(tmpdir(), 'vb-'));
  await chmod(folder, 0o711);
  try {
    return await act(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function load(): string {
  return loadavg()
    .map((value) => value.toFixed(1))
    .join(' ');
}
