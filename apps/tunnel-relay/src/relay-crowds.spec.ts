import { openStream } from '@vmferry/client';
import { residentKib } from '@vmferry/posix';
import { describe, expect, it } from 'vitest';
import {
  qemuEnd,
  type RelayProcess,
  receive,
  relayProcess,
  send,
  streamIn,
  type Tunnel,
  tunnel,
} from './testing/relay-processes.js';

const openMax = 64;
const residentMib = (relay: RelayProcess) => (residentKib(relay.child.pid ?? 0) ?? 0) / 1_024;

describe('many at once', () => {
  it('threat 4: of 1,000 connections with wrong tickets each is refused, nothing is kept of them, and the relay serves on', async () => {
    const [a, b] = [await relayProcess(), await relayProcess()];
    const destination = await b.client.createStream({ role: 'destination', migrationId: 'm1' });
    const guess = (ticket: string) =>
      openStream({ url: destination.attachUrl ?? '', ticket, migrationId: 'm1', deadlineMs: 20_000 }).then(
        () => 'admitted',
        (thrown: unknown) => (thrown as { code?: string }).code,
      );
    const guesses = (count: number) =>
      Promise.all(Array.from({ length: count }, (_, index) => guess(String(index).padStart(64, '0'))));
    // What the first ones load and compile is kept.
    await guesses(100);
    const before = { mib: residentMib(b), descriptors: b.descriptors() };
    for (let round = 0; round < 4; round += 1) expect(new Set(await guesses(250))).toEqual(new Set(['ticket-invalid']));
    expect(residentMib(b) - before.mib).toBeLessThan(48);
    while (b.descriptors() > before.descriptors) await b.client.stream(destination.id);

    expect(await b.client.stream(destination.id)).toMatchObject({ state: 'waiting' });
    const peer = { url: destination.attachUrl ?? '', ticket: destination.ticket ?? '' };
    const source = await a.client.createStream({ role: 'source', migrationId: 'm1', peer });
    const [qemuA, qemuB] = [await qemuEnd(source), await qemuEnd(destination)];
    const got = receive(qemuB);
    expect(await send(qemuA, 1_000_000)).toBe(await got);
    qemuB.end();
    qemuA.resume();
    await streamIn(b, destination.id, 'closed');
  });

  it('64 streams move their bytes both ways, each its own; a 65th is refused, until one has ended', {
    timeout: 120_000,
  }, async () => {
    const [a, b] = [await relayProcess(), await relayProcess()];
    const tunnels: Tunnel[] = [];
    while (tunnels.length < openMax) tunnels.push(await tunnel(a, b));
    for (const { destination } of tunnels) await streamIn(b, destination.id, 'streaming');
    const refused = expect.objectContaining({ code: 'too-many-requests' });
    await expect(b.client.createStream({ role: 'destination', migrationId: 'm1' })).rejects.toEqual(refused);
    const peer = { url: tunnels[0]?.destination.attachUrl ?? '', ticket: 'x'.repeat(64) };
    await expect(a.client.createStream({ role: 'source', migrationId: 'm1', peer })).rejects.toEqual(refused);
    expect((await metrics(b)).match(/^relay_stream_stalls_total\{/gm)).toHaveLength(openMax);

    const moved = tunnels.map(async ({ qemuA, qemuB }, index) => {
      // Of different lengths, so that bytes of another stream would show.
      const bytes = 500_000 + index;
      const got = [receive(qemuB), receive(qemuA)];
      const sent = [send(qemuA, bytes), send(qemuB, bytes)];
      expect(await Promise.all(got)).toEqual(await Promise.all(sent));
    });
    await Promise.all(moved);
    for (const [index, { source, destination }] of tunnels.entries()) {
      const exact = { bytesToPeer: 500_000 + index, bytesFromPeer: 500_000 + index, reason: null };
      expect(await streamIn(a, source.id, 'closed', 'failed')).toMatchObject({ state: 'closed', ...exact });
      expect(await streamIn(b, destination.id, 'closed', 'failed')).toMatchObject({ state: 'closed', ...exact });
    }
    const after = await metrics(b);
    expect(after).toContain('relay_streams_ended_total{outcome="closed"} 64');
    expect(after).not.toMatch(/^relay_stream_.*\{/m);
    await b.client.createStream({ role: 'destination', migrationId: 'm1' });
  });
});

async function metrics(relay: RelayProcess): Promise<string> {
  return (await fetch(`${relay.url}/metrics`)).text();
}
