import { writeFile } from 'node:fs/promises';
import { pipeBytesWanted } from '@vmferry/tunnel-relay/pump';
import type { BenchArguments } from '../arguments.js';
import { congestionControl, inFolder, load, machine, say, tell } from '../surroundings.js';
import { PairBench, pairCases } from './pair-bench.js';
import { pairTable, pairVerdict, pairVerdictLine } from './pair-report.js';
import { PumpBench, pumpCases } from './pump-bench.js';
import { pumpTable } from './pump-report.js';

const bytes = 2 ** 30;

/** `npm run bench -- --pump`: pipes of each size, both ways, interleaved; then two pumps with TLS or nothing between them. */
export async function runPump(args: BenchArguments): Promise<void> {
  say(
    `${args.rounds} rounds of ${bytes / 2 ** 20} MiB, interleaved, after one that warms up; medians (min-max). ${machine}, TCP ${congestionControl()}; load ${load()}.`,
  );
  say('From one process through the pump in another to a third, which write and read as much at a time as QEMU does.');
  const cases = pumpCases();
  const samples = await inFolder((folder) => measureAll(new PumpBench(folder), cases, args.rounds));
  for (const line of pumpTable(samples, pipeBytesWanted)) say(line);
  say(
    `\nThe relay takes pipes of ${pipeBytesWanted / 1_024} KiB (*), set in apps/tunnel-relay/src/pump/pump-descriptors.ts. A call moves what`,
  );
  say('is there, at most a whole pipe. The thread sleeps in poll once neither direction can move a byte.');
  say('\nTwo pumps, each a process, with one TCP connection between them. The direction is that of the pump which begins the');
  say(
    'connection, as client of the TLS; the other goes on the opposite way. What is plain is spliced. Four processes are busy at once:',
  );
  say('on fewer cores the pumps do not have one each.');
  const pairs = await inFolder((folder) => measureAll(new PairBench(folder), pairCases(), args.rounds));
  const verdict = pairVerdict(pairs);
  for (const line of [...pairTable(pairs), pairVerdictLine(verdict)]) say(line);
  say(`\nLoad at the end: ${load()}.`);
  if (args.json !== null)
    await writeFile(
      args.json,
      `${JSON.stringify({ arguments: args, machine, congestionControl: congestionControl(), pipeBytesWanted, cases: cellsOf(samples), pairs: cellsOf(pairs), verdict }, null, 2)}\n`,
    );
}

interface CaseBench<Case, Sample> {
  measure(of: Case, bytes: number): Promise<Sample>;
  close(): Promise<void>;
}

/** Each case in turn, so many rounds and one before them. The bench is closed at the end. */
async function measureAll<Case extends object, Sample>(
  bench: CaseBench<Case, Sample>,
  cases: readonly Case[],
  rounds: number,
): Promise<ReadonlyMap<Case, readonly Sample[]>> {
  const samples = new Map<Case, Sample[]>(cases.map((of) => [of, []]));
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

function cellsOf<Case extends object, Sample>(samples: ReadonlyMap<Case, readonly Sample[]>): object[] {
  return [...samples].map(([of, rounds]) => ({ ...of, rounds }));
}
