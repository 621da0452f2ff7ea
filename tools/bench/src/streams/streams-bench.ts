import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Host } from '@vmferry/lab';
import { type AppFigures, measureApps } from '../app-meter.js';
import type { Address, EndsAnswer, EndsOrder } from '../ends/ends.js';
import { Helper } from '../ends/helper.js';

/** So many streams at once through a pair of relays that carries nothing else. */
export interface StreamsSample extends AppFigures {
  readonly streams: number;
  readonly bytes: number;
  /** From the order to send until the last byte of the last stream has come. */
  readonly seconds: number;
}

const endsProgram = new URL('../ends/ends.js', import.meta.url);

/** The relays are new each time, so that what they grow is these streams'. `folder` does not exist and is short. */
export async function measureStreams(folder: string, streams: number, bytes: number): Promise<StreamsSample> {
  await mkdir(folder);
  const hosts = ['a', 'b'].map((name) => new Host({ name, folder: join(folder, name) }));
  const [here, there] = hosts;
  if (here === undefined || there === undefined) throw new Error('A tunnel needs two hosts.');
  const [sender, receiver] = [new Helper<EndsOrder, EndsAnswer>(endsProgram), new Helper<EndsOrder, EndsAnswer>(endsProgram)];
  try {
    for (const { stateDir, relay } of hosts) {
      await mkdir(stateDir, { recursive: true, mode: 0o700 });
      await relay.start();
    }
    const end = measureApps({ relays: hosts.map(({ relay }) => relay.pid), agents: [] });
    const pairs = await openStreams(here, there, streams);
    await connect(
      sender,
      'send',
      pairs.map(([path]) => path),
    );
    await connect(
      receiver,
      'receive',
      pairs.map(([, path]) => path),
    );
    const seconds = await sendAll(sender, receiver, Math.floor(bytes / streams), streams);
    return { streams, bytes, seconds, ...end() };
  } finally {
    for (const helper of [sender, receiver]) await helper.end();
    for (const { relay } of hosts) await relay.stop();
  }
}

/** The two local sockets of each stream: at its source and at its destination. */
async function openStreams(here: Host, there: Host, streams: number): Promise<[Address, Address][]> {
  const pairs: [Address, Address][] = [];
  for (let index = 0; index < streams; index += 1) {
    const migrationId = `bench-${index}`;
    const destination = await there.relayClient().createStream({ role: 'destination', migrationId });
    const peer = { url: destination.attachUrl ?? '', ticket: destination.ticket ?? '' };
    const source = await here.relayClient().createStream({ role: 'source', migrationId, peer });
    pairs.push([{ path: source.localSocket ?? '' }, { path: destination.localSocket ?? '' }]);
  }
  return pairs;
}

async function connect(ends: Helper<EndsOrder, EndsAnswer>, role: 'send' | 'receive', addresses: Address[]): Promise<void> {
  const connected = ends.answer('connected');
  ends.order({ t: 'connect', addresses, role });
  await connected;
}

async function sendAll(
  sender: Helper<EndsOrder, EndsAnswer>,
  receiver: Helper<EndsOrder, EndsAnswer>,
  bytesEach: number,
  streams: number,
): Promise<number> {
  const done = Promise.all([receiver.answer('done'), sender.answer('done')]);
  const startedAt = performance.now();
  sender.order({ t: 'send', bytesEach });
  const [{ bytes }] = await done;
  if (bytes !== bytesEach * streams) throw new Error(`${bytes} of ${bytesEach * streams} bytes came through the relays.`);
  return (performance.now() - startedAt) / 1_000;
}
