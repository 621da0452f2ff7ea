import { writeFile } from 'node:fs/promises';
import { pipeBytesWanted } from '@vmferry/tunnel-relay/pump';
import type { BenchArguments } from '../arguments.js';
import { congestionControl, inFolder, load, machine, say, tell } from '../surroundings.js';
import { PumpBench, type PumpCase, type PumpSample, pumpCases } from './pump-bench.js';
import { pumpTable } from './pump-report.js';

const bytes = 2 ** 30;

/** `pnpm bench --pump`: pipes of each size, both ways, interleaved. */
export async function runPump(args: BenchArguments): Promise<void> {
  say(
    `${args.rounds} rounds of ${bytes / 2 ** 20} MiB, interleaved, after one that warms up; medians (min-max). ${machine}, TCP ${congestionControl()}; load ${load()}.`,
  );
  say('From one process through the pump in another to a third, which write and read as much at a time as QEMU does.');
  const cases = pumpCases();
  const samples = await inFolder((folder) => measureAll(folder, cases, args.rounds));
  for (const line of pumpTable(samples, pipeBytesWanted)) say(line);
  say(
    `\nThe relay takes pipes of ${pipeBytesWanted / 1_024} KiB (*), set in apps/tunnel-relay/src/pump/pump-descriptors.ts. A call moves what`,
  );
  say('is there, at most a whole pipe. The thread sleeps in poll once neither direction can move a byte.');
  say(`Load at the end: ${load()}.`);
  const cells = [...samples].map(([of, rounds]) => ({ ...of, rounds }));
  if (args.json !== null)
    await writeFile(
      args.json,
      `${JSON.stringify({ arguments: args, machine, congestionControl: congestionControl(), pipeBytesWanted, cases: cells }, null, 2)}\n`,
    );
}

async function measureAll(
  folder: string,
  cases: readonly PumpCase[],
  rounds: number,
): Promise<ReadonlyMap<PumpCase, readonly PumpSample[]>> {
  const samples = new Map<PumpCase, PumpSample[]>(cases.map((of) => [of, []]));
  const bench = new PumpBench(folder);
  try {
    for (let round = 0; round <= rounds; round += 1) {
      tell(round === 0 ? 'warm-up' : `round ${round} of ${rounds}`);
      for (const of of cases) {
        const sample = await bench.measure(of, bytes);
        if (round > 0) samples.get(of)?.push(sample);
      }
    }
  } finally {
    await bench.close();
  }
  return samples;
}
