import { writeFile } from 'node:fs/promises';
import type { BenchArguments } from '../arguments.js';
import { parametersInWords } from '../qmp-alone.js';
import { goalLine } from '../report.js';
import { congestionControl, inFolder, load, machine, say, tell } from '../surroundings.js';
import { measureTunnel, restMs, variantGuest, variants } from './tunnel.js';
import { goals, mibPerSecond, tunnelTable, tunnelVerdicts } from './tunnel-report.js';

/** `npm run bench -- --tunnel`: each kind of guest and memory in turn, the ways of each interleaved. */
export async function runTunnel(args: BenchArguments): Promise<void> {
  say(
    `${args.rounds} rounds of each way, interleaved, after one that warms up; medians (min-max). ${machine}, TCG; load ${load()}.`,
  );
  say(`All ways: ${parametersInWords.careful}. TCP: ${congestionControl()}.`);
  say("MiB/s: QEMU's count of the bytes it sent for memory, over its total time less its set-up. GiB: of the same bytes.");
  say(
    'CPU: user and system, of both hosts, from the request until the source has ended. Tick gap: the largest, one tick each 10 ms.',
  );
  say(`Memory as is: ${restMs / 1_000} s of rest before each migration, so that it is as fresh for every way.`);
  const results = [];
  for (const variant of variants) {
    const guest = await variantGuest(variant);
    const samples = await inFolder((folder) => measureTunnel(folder, guest, { rounds: args.rounds, ...variant }, tell));
    const verdicts = tunnelVerdicts(samples, variant);
    say(`\n${guest.title}`);
    for (const line of tunnelTable(samples)) say(line);
    for (const verdict of verdicts) say(goalLine(verdict));
    const ways = [...samples].map(([way, of]) => ({ way, mibPerSecond: of.rounds.map(mibPerSecond), ...of }));
    results.push({ ...variant, guest: guest.title, verdicts, ways });
  }
  say(`\nLoad at the end: ${load()}.`);
  if (args.json !== null)
    await writeFile(
      args.json,
      `${JSON.stringify({ arguments: args, machine, congestionControl: congestionControl(), goals, results }, null, 2)}\n`,
    );
}
