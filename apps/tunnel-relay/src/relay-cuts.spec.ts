import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { migrationHeader, type StreamResource, streamProtocol, ticketHeader } from '@vmferry/api';
import { describe, expect, it } from 'vitest';
import { type Cut, cuttingProxy } from './testing/cutting-proxy.js';
import { qemuEnd, type RelayProcess, relayProcess, streamIn } from './testing/relay-processes.js';

const pipeBytes = 262_144;
const payload = { toPeer: randomBytes(2 * pipeBytes + 12_345), fromPeer: randomBytes(pipeBytes + 4_321) };
/** A reset may come before the request was read: then nobody has come, and the ticket's own time ends the stream. */
const expiresSeconds = 3;
const neverCame = new RegExp(`^no peer attached within ${expiresSeconds}000 ms$`);
const broke = /^the connection to the relay of the other host broke \(E\w+\)|^the peer left while it was admitted$/;

/** Sends all of `bytes` and its end, and tells what came, whether by an end or by a break. */
async function talk(qemu: net.Socket, bytes: Buffer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  qemu.on('error', () => undefined).on('data', (chunk: Buffer) => chunks.push(chunk));
  const over = new Promise<void>((resolve) => {
    qemu.once('end', resolve).once('close', () => resolve());
  });
  qemu.end(bytes);
  await over;
  qemu.destroySoon();
  return Buffer.concat(chunks);
}

const isPrefix = (part: Buffer, whole: Buffer) => whole.subarray(0, part.length).equals(part);

interface Pair {
  readonly a: RelayProcess;
  readonly b: RelayProcess;
  readonly through: (url: string, cut: Cut | null) => string;
}

async function pair(): Promise<Pair> {
  const [a, b] = [await relayProcess(), await relayProcess()];
  return { a, b, through: (await cuttingProxy(b.url)).through };
}

/** A stream through the proxy: its destination, and its source or why there is none. */
async function opened({ a, b, through }: Pair, cut: Cut | null, seconds = 60) {
  const destination = await b.client.createStream({ role: 'destination', migrationId: 'm1', expiresSeconds: seconds });
  const peer = { url: through(destination.attachUrl ?? '', cut), ticket: destination.ticket ?? '' };
  const source = await a.client.createStream({ role: 'source', migrationId: 'm1', peer }).catch((thrown: unknown) => thrown);
  return { destination, source };
}

/** Runs a stream to its end on both sides: how each ended, and what its QEMU got. */
async function run({ a, b }: Pair, source: StreamResource, destination: StreamResource) {
  const qemus = [await qemuEnd(source), await qemuEnd(destination)] as const;
  const [gotA, gotB] = await Promise.all([talk(qemus[0], payload.toPeer), talk(qemus[1], payload.fromPeer)]);
  const endA = await streamIn(a, source.id, 'closed', 'failed');
  const endB = await streamIn(b, destination.id, 'closed', 'failed');
  return { endA, endB, gotA, gotB };
}

/** The end of a stream whose peer may be gone already, and what its QEMU got, which comes in any case. */
async function answered(relay: RelayProcess, stream: StreamResource): Promise<{ end: StreamResource; got: Buffer }> {
  const qemu = await qemuEnd(stream).catch((thrown: unknown) => {
    expect(thrown).toMatchObject({ code: 'ENOENT' });
  });
  const got = qemu === undefined ? Buffer.alloc(0) : await talk(qemu, payload.fromPeer);
  return { end: await streamIn(relay, stream.id, 'closed', 'failed'), got };
}

/** Whatever came is what was sent, and an end that looks clean comes after all of it; else there is a reason. */
function expectHonest(end: StreamResource, got: Buffer, sent: Buffer): void {
  expect(isPrefix(got, sent)).toBe(true);
  if (end.state === 'closed') expect(got.length).toBe(sent.length);
  else expect(end.reason).toMatch(broke);
}

const chunkEdges = [1, 65_535, 65_536, 65_537, pipeBytes - 1, pipeBytes, pipeBytes + 1];

describe('a stream whose connection is cut', () => {
  it('is whole when it is not', async () => {
    const both = await pair();
    const { source, destination } = await opened(both, null);
    const { endA, endB, gotA, gotB } = await run(both, source as StreamResource, destination);
    expect([endA.state, endB.state]).toEqual(['closed', 'closed']);
    expect(gotB.equals(payload.toPeer)).toBe(true);
    expect(gotA.equals(payload.fromPeer)).toBe(true);
  });

  it.each(['request', 'answer'] as const)(
    'behind the head of the %s fails with a reason, never by a short end that looks clean',
    { timeout: 60_000 },
    async (direction) => {
      const both = await pair();
      const sent = direction === 'request' ? payload.toPeer : payload.fromPeer;
      for (const bytes of [...chunkEdges, sent.length - 1, sent.length]) {
        const { source, destination } = await opened(both, { direction, at: (head) => head + bytes });
        const { endA, endB, gotA, gotB } = await run(both, source as StreamResource, destination);
        expectHonest(endB, gotB, payload.toPeer);
        expectHonest(endA, gotA, payload.fromPeer);
        // Its end did not come, though every byte may have.
        const receiver = direction === 'request' ? endB : endA;
        expect([bytes, receiver.state, receiver.reason]).toEqual([bytes, 'failed', expect.stringMatching(broke)]);
        const came = direction === 'request' ? gotB.length : gotA.length;
        expect(came).toBeLessThanOrEqual(bytes);
      }
    },
  );

  it('within the head of its request is refused, and its destination waits on', async () => {
    const both = await pair();
    for (const place of [() => 0, () => 1, (head: number) => head - 1]) {
      const { source, destination } = await opened(both, { direction: 'request', at: place });
      expect(source).toMatchObject({ code: 'peer-unreachable' });
      expect(await both.b.client.stream(destination.id)).toMatchObject({ state: 'waiting' });
      expect((await both.a.client.streams()).streams.filter(({ state }) => state !== 'closed')).toEqual([]);
      // Its ticket is unused: the next attempt comes through.
      const peer = { url: both.through(destination.attachUrl ?? '', null), ticket: destination.ticket ?? '' };
      const again = await both.a.client.createStream({ role: 'source', migrationId: 'm1', peer });
      const { endB, gotB } = await run(both, again, destination);
      expect([endB.state, gotB.length]).toEqual(['closed', payload.toPeer.length]);
    }
  });

  it('within the head of its answer is refused, and its destination fails with a reason', async () => {
    const both = await pair();
    for (const place of [() => 0, () => 1, (head: number) => head - 1]) {
      const { source, destination } = await opened(both, { direction: 'answer', at: place });
      expect(source).toMatchObject({ code: 'peer-unreachable' });
      const { end, got } = await answered(both.b, destination);
      expect([got.length, end.reason]).toEqual([0, expect.stringMatching(broke)]);
    }
  });

  it('just behind the head of its request or its answer fails with a reason', async () => {
    const both = await pair();
    for (const direction of ['request', 'answer'] as const) {
      const { source, destination } = await opened(both, { direction, at: (head) => head }, expiresSeconds);
      const far = await answered(both.b, destination);
      expect([far.got.length, far.end.state]).toEqual([0, 'failed']);
      if (far.end.reason?.match(neverCame) === null) expect(far.end.reason).toMatch(broke);
      // Whether the answer still comes through depends on which of the two is seen first.
      if (source instanceof Error) expect(source).toMatchObject({ code: 'peer-unreachable' });
      else {
        const near = await answered(both.a, source as StreamResource);
        expect([near.got.length, near.end.reason]).toEqual([0, expect.stringMatching(broke)]);
      }
    }
  });
});

describe('a peer that sends its stream behind the request at once', () => {
  /** A peer that writes request and stream in one piece, and then ends its direction, leaves without a word, or breaks off. */
  async function burst(b: RelayProcess, bytes: Buffer, how: 'end' | 'destroy' | 'resetAndDestroy') {
    const destination = await b.client.createStream({ role: 'destination', migrationId: 'm1', expiresSeconds });
    const url = new URL(destination.attachUrl ?? '');
    const peer = net.connect({ port: Number(url.port), host: '127.0.0.1', allowHalfOpen: true });
    const head = [
      `GET ${url.pathname} HTTP/1.1`,
      `host: ${url.host}`,
      'connection: Upgrade',
      `upgrade: ${streamProtocol}`,
      `${ticketHeader}: ${destination.ticket ?? ''}`,
      `${migrationHeader}: m1`,
    ];
    peer.on('error', () => undefined).resume();
    await new Promise<void>((flushed) => {
      peer.write(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), bytes]), () => flushed());
    });
    peer[how]();
    return { destination, peer };
  }

  it('has it taken whole, and then its end', async () => {
    const b = await relayProcess();
    for (const bytes of [0, 1, 1_000, 65_535, 65_536, 65_537, pipeBytes + 1]) {
      const sent = payload.toPeer.subarray(0, bytes);
      const { destination } = await burst(b, sent, 'end');
      const { end, got } = await answered(b, destination);
      expect(got.equals(sent)).toBe(true);
      expect(end).toMatchObject({ state: 'closed', bytesFromPeer: bytes });
    }
  });

  it.each(['destroy', 'resetAndDestroy'] as const)('and is gone before the answer (%s) fails with a reason', async (how) => {
    const b = await relayProcess();
    for (const bytes of [0, 1_000, 70_000]) {
      const sent = payload.toPeer.subarray(0, bytes);
      const { destination, peer } = await burst(b, sent, how);
      if (!peer.closed) await once(peer, 'close');
      const { end, got } = await answered(b, destination);
      expect(isPrefix(got, sent)).toBe(true);
      expect(end.state).toBe('failed');
      if (end.reason?.match(neverCame) === null) expect(end.reason).toMatch(broke);
    }
  });
});
