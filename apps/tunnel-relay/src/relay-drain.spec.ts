import { once } from 'node:events';
import { openStream } from '@vmferry/client';
import { describe, expect, it } from 'vitest';
import { closeOf, type RelayProcess, receive, relayProcess, send, streamIn, tunnel } from './testing/relay-processes.js';

const bytes = 16 * 1_048_576;

/** Sends SIGTERM, and resolves when the relay says that it takes no more work. */
async function terminate(relay: RelayProcess): Promise<void> {
  relay.child.kill('SIGTERM');
  while ((await fetch(`${relay.url}/readyz`)).status !== 503) await new Promise(setImmediate);
}

describe('a relay after SIGTERM', () => {
  it('lets what streams end, fails what only waits, refuses new streams with 503, and ends with 0', async () => {
    const [a, b] = [await relayProcess(), await relayProcess()];
    const { destination, qemuA, qemuB } = await tunnel(a, b);
    await streamIn(b, destination.id, 'streaming');
    const waiting = await b.client.createStream({ role: 'destination', migrationId: 'm2' });
    const exited = once(b.child, 'exit');
    await terminate(b);
    const ready = await (await fetch(`${b.url}/readyz`)).json();
    expect(ready).toMatchObject({ ready: false, checks: { serving: { ok: false, detail: 'shutting down' } } });
    expect(await streamIn(b, waiting.id, 'failed')).toMatchObject({ reason: 'the relay is shutting down' });

    const refused = await fetch(`${b.url}/v1/streams`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ role: 'destination', migrationId: 'm3' }),
    });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await refused.json()).toMatchObject({ code: 'draining', retryable: true });
    const attach = openStream({
      url: waiting.attachUrl ?? '',
      ticket: waiting.ticket ?? '',
      migrationId: 'm2',
      deadlineMs: 5_000,
    });
    await expect(attach).rejects.toMatchObject({ code: 'draining' });
    const peer = { url: waiting.attachUrl ?? '', ticket: waiting.ticket ?? '' };
    await expect(a.client.createStream({ role: 'source', migrationId: 'm2', peer })).rejects.toMatchObject({
      code: 'stream-failed',
      message: expect.stringContaining('shutting down'),
    });

    expect(await b.client.changeStream(destination.id, { bandwidthMibPerSec: 64 })).toMatchObject({ state: 'streaming' });
    const got = receive(qemuB);
    expect(await send(qemuA, bytes)).toBe(await got);
    qemuB.end();
    qemuA.resume();
    expect(await exited).toEqual([0, null]);
  });

  it('a stream that is aborted meanwhile holds it up no longer', async () => {
    const [a, b] = [await relayProcess(), await relayProcess()];
    const { destination, qemuA, qemuB } = await tunnel(a, b);
    for (const qemu of [qemuA, qemuB]) qemu.on('error', () => undefined).resume();
    await streamIn(b, destination.id, 'streaming');
    const exited = once(b.child, 'exit');
    await terminate(b);
    await b.client.abortStream(destination.id);
    expect(await exited).toEqual([0, null]);
  });

  it.each([
    ['the end of --drain-seconds', ['--drain-seconds', '1'], 0, 'the stream did not end within 1000 ms'],
    ['a second SIGTERM', [], 1, 'was told a second time not to wait for the stream'],
  ])('%s cuts what streams, and says why', async (how, args, status, reason) => {
    const a = await relayProcess();
    const b = await relayProcess(['--log-level', 'info', ...args]);
    const { source, destination, qemuA, qemuB } = await tunnel(a, b);
    const over = [qemuA, qemuB].map(closeOf);
    // The direction that the test leaves open is what keeps the stream.
    for (const qemu of [qemuA, qemuB]) qemu.once('end', () => qemu.end());
    await streamIn(b, destination.id, 'streaming');
    const ended = once(b.child, 'close');
    await terminate(b);
    expect(await b.client.stream(destination.id)).toMatchObject({ state: 'streaming', reason: null });
    if (how === 'a second SIGTERM') b.child.kill('SIGTERM');
    expect(await ended).toEqual([status, null]);
    const change = b
      .logged()
      .split('\n')
      .find((line) => line.includes('"t":"failed"'));
    expect(change).toContain(reason);
    expect((await streamIn(a, source.id, 'failed')).reason).toMatch(/relay of the other host broke \(ECONNRESET\)/);
    await Promise.all(over);
  });
});
