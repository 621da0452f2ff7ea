import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { residentKib } from '@vmferry/posix';
import { describe, expect, it } from 'vitest';
import { readerProcess } from './testing/reader-process.js';
import { closeOf, qemuEnd, type RelayProcess, receive, relayProcess, streamIn, tunnel } from './testing/relay-processes.js';

const mib = 1_048_576;

const resident = (relay: RelayProcess) => (residentKib(relay.child.pid ?? 0) ?? 0) / 1_024;

/**
 * Writes until nothing more is taken: a block at a time, each once the one before is with the kernel. `taken` is how many bytes the
 * kernel took by then, `digest` is of all that was written.
 */
async function pressAgainst(qemu: net.Socket, relay: RelayProcess, id: string) {
  const digest = createHash('sha256');
  let taken = 0;
  let pending = false;
  for (;;) {
    if (!pending) {
      const block = randomBytes(65_536);
      digest.update(block);
      pending = true;
      qemu.write(block, () => {
        taken += block.length;
        pending = false;
      });
    }
    const before = taken;
    const stream = await relay.client.stream(id);
    // It stands still: the relay has slept with bytes that nobody takes, and so does the writer.
    if (pending && taken === before && stream.stalls > 0 && (stream.msSinceLastByte ?? 0) > 300) return { taken, digest, stream };
  }
}

/**
 * What may lie between the two QEMUs: two pipes, a unix socket that holds what its kernel lets a writer send ahead, one to the reader that holds twice
 * the send buffer of 512 KiB, and a TCP connection, of which 256 KiB wait to be sent and whose receiver takes up to 6 MiB by the kernel's defaults.
 */
const heldMax = 2 * 524_288 + 400_000 + 2 * 600_000 + 262_144 + 6 * mib;

describe('a reader that stops', () => {
  it('stops the writer: no relay grows, both are asked as ever, and it all comes when the reader goes on', async () => {
    const [a, b] = [await relayProcess(), await relayProcess()];
    const { source, destination, qemuA, qemuB } = await tunnel(a, b);
    qemuB.pause();
    await streamIn(b, destination.id, 'streaming');
    const before = [resident(a), resident(b)];
    const { taken, digest, stream } = await pressAgainst(qemuA, a, source.id);
    expect(taken).toBeGreaterThan(262_144);
    expect(taken).toBeLessThan(heldMax);
    const grown = [a, b].map((relay, index) => resident(relay) - (before[index] ?? 0));
    expect(Math.max(...grown)).toBeLessThan(32);
    expect(stream).toMatchObject({ state: 'streaming', reason: null });
    expect((await b.client.stream(destination.id)).stalls).toBeGreaterThan(0);
    // The rate of a direction in which nothing moves comes down to 0, also while it is stalled.
    while ((await a.client.stream(source.id)).toPeerBytesPerSec > 0);

    const got = receive(qemuB);
    qemuA.end();
    expect(await got).toBe(digest.digest('hex'));
    qemuB.end();
    qemuA.resume();
    await streamIn(a, source.id, 'closed');
    await streamIn(b, destination.id, 'closed');
  });

  it('does so also when its process is frozen', async () => {
    const [a, b] = [await relayProcess(), await relayProcess()];
    const destination = await b.client.createStream({ role: 'destination', migrationId: 'm1' });
    const peer = { url: destination.attachUrl ?? '', ticket: destination.ticket ?? '' };
    const source = await a.client.createStream({ role: 'source', migrationId: 'm1', peer });
    const qemuA = await qemuEnd(source);
    const reader = await readerProcess(destination.localSocket ?? '');
    await streamIn(b, destination.id, 'streaming');
    reader.child.kill('SIGSTOP');
    const { taken, digest } = await pressAgainst(qemuA, a, source.id);
    expect(taken).toBeLessThan(heldMax);
    expect(await b.client.stream(destination.id)).toMatchObject({ state: 'streaming', reason: null });
    reader.child.kill('SIGCONT');
    qemuA.end();
    qemuA.resume();
    expect(await reader.digest).toBe(digest.digest('hex'));
    await streamIn(b, destination.id, 'closed');
  });
});

describe('a relay that is frozen', () => {
  it('stops the writer at the other one, and all comes when it goes on', async () => {
    const [a, b] = [await relayProcess(), await relayProcess()];
    const { source, destination, qemuA, qemuB } = await tunnel(a, b);
    await streamIn(b, destination.id, 'streaming');
    const got = receive(qemuB);
    b.child.kill('SIGSTOP');
    const { taken, digest } = await pressAgainst(qemuA, a, source.id);
    expect(taken).toBeLessThan(heldMax);
    b.child.kill('SIGCONT');
    qemuA.end();
    expect(await got).toBe(digest.digest('hex'));
    qemuB.end();
    qemuA.resume();
    await streamIn(a, source.id, 'closed');
    await streamIn(b, destination.id, 'closed');
  });

  it('is given up by the other one after --silence-seconds, with the reason on both sides', async () => {
    const [a, b] = [await relayProcess(['--silence-seconds', '1']), await relayProcess()];
    const { source, destination, qemuA, qemuB } = await tunnel(a, b);
    const over = [closeOf(qemuA), closeOf(qemuB)];
    for (const qemu of [qemuA, qemuB]) qemu.once('end', () => qemu.end());
    await streamIn(b, destination.id, 'streaming');
    b.child.kill('SIGSTOP');
    expect((await streamIn(a, source.id, 'failed')).reason).toBe('the stream was silent for 1000 ms');
    b.child.kill('SIGCONT');
    expect((await streamIn(b, destination.id, 'failed')).reason).toMatch(/relay of the other host broke \(ECONNRESET\)/);
    await Promise.all(over);
  });
});

describe('a peer that connects and says nothing', () => {
  it('to a relay is closed by its timer, and the relay serves on', async () => {
    const b = await relayProcess();
    const silent = net.connect(Number(new URL(b.url).port), '127.0.0.1');
    const [answer] = (await once(silent, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 408 .*"code":"request-timeout"/s);
    await once(silent.resume(), 'close');
    await b.client.createStream({ role: 'destination', migrationId: 'm1' });
  });
});
