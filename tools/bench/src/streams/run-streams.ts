import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BenchArguments } from '../arguments.js';
import { congestionControl, inFolder, load, machine, say, tell } from '../surroundings.js';
import { measureStreams, type StreamsSample } from './streams-bench.js';
import { streamsFits, streamsTable } from './streams-report.js';

const counts = [1, 8, 16, 32, 64];
const bytes = 2 ** 31;

/** `npm run bench -- --streams`: each number of streams in turn, so many rounds. */
export async function runStreams(args: BenchArguments): Promise<void> {
  say(
    `${args.rounds} rounds, interleaved, of ${bytes / 2 ** 20} MiB over all streams together; medians (min-max). ${machine}, TCP ${congestionControl()}; load ${load()}.`,
  );
  say(
    'From a process that writes as QEMU does, through two relays that are new each time, to one that reads as QEMU does. CPU and',
  );
  say('memory from before the streams are made until the last byte has come; memory is the larger relay at its largest moment.');
  const samples = new Map<number, StreamsSample[]>(counts.map((count) => [count, []]));
  await inFolder(async (folder) => {
    for (let round = 1; round <= args.rounds; round += 1) {
      for (const count of counts) {
        const sample = await measureStreams(join(folder, `${round}-${count}`), count, bytes);
        samples.get(count)?.push(sample);
        tell(`round ${round} of ${args.rounds}: ${count} streams: ${sample.seconds.toFixed(1)} s`);
      }
    }
  });
  for (const line of [...streamsTable(samples), '', ...streamsFits(samples)]) say(line);
  say(`\nLoad at the end: ${load()}.`);
  if (args.json !== null)
    await writeFile(
      args.json,
      `${JSON.stringify({ arguments: args, machine, congestionControl: congestionControl(), samples: [...samples.values()].flat() }, null, 2)}\n`,
    );
}
