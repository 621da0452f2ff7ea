import { once } from 'node:events';
import { constants } from 'node:fs';
import net from 'node:net';
import type { CreatedStream, CreateStream, StreamResource } from '@vmferry/api';
import { openStream } from '@vmferry/client';
import { closeFd, descriptorOf, openFile, sendWithFd, socketpair } from '@vmferry/posix';
import { describe, expect, it, onTestFinished } from 'vitest';
import { channelSecret } from './streams/ticket.js';
import { type RelayProcess, relayProcess } from './testing/relay-processes.js';

const family = { migrationId: 'm1', channels: 2 };

async function destinationAt(relay: RelayProcess, body: Partial<CreateStream> = {}): Promise<CreatedStream> {
  return relay.client.createStream({ role: 'destination', ...family, ...body } as CreateStream);
}

function sourceAt(relay: RelayProcess, { attachUrl, ticket }: CreatedStream, body: { readonly channels?: number } = family) {
  return relay.client.createStream({
    role: 'source',
    migrationId: 'm1',
    peer: { url: attachUrl ?? '', ticket: ticket ?? '' },
    ...body,
  });
}

const all = (created: CreatedStream): readonly StreamResource[] => [created, ...created.channels];

/** Agents that wait for the relay's call, and do not answer it. */
function waiting(created: CreatedStream): net.Socket[] {
  return all(created).map(({ localSocket }) => {
    const control = net.connect(localSocket ?? '').on('error', () => undefined);
    onTestFinished(() => void control.destroy());
    return control;
  });
}

/** An agent's connection to a stream, and what stands for QEMU: the end of a socketpair whose other end is handed over once the relay calls. */
async function handOver({ localSocket }: StreamResource): Promise<{ readonly qemu: net.Socket; readonly control: net.Socket }> {
  const control = net.connect(localSocket ?? '');
  control.on('error', () => undefined);
  await once(control, 'data');
  const [ours, theirs] = socketpair();
  sendWithFd(descriptorOf(control), Buffer.from([1]), theirs);
  closeFd(theirs);
  const qemu = new net.Socket({ fd: ours, allowHalfOpen: true });
  qemu.on('error', () => undefined);
  onTestFinished(() => void qemu.destroy());
  return { qemu, control };
}

async function states(relay: RelayProcess): Promise<string[]> {
  return (await relay.client.streams()).streams.map(({ state }) => state);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Both relays with a family that streams. */
async function streamingFamily() {
  const [near, far] = [await relayProcess(), await relayProcess()];
  const destination = await destinationAt(far);
  const source = await sourceAt(near, destination);
  const ends = await Promise.all([...all(source), ...all(destination)].map(handOver));
  return { near, far, source, destination, sent: ends.slice(0, 3), received: ends.slice(3) };
}

describe('a family of streams', () => {
  it('is opened at once, under one ticket; each channel has a socket and a place in the order', async () => {
    const relay = await relayProcess();
    const created = await destinationAt(relay);
    expect(all(created).map(({ family: id, channel, attachUrl }) => [id, channel, attachUrl])).toEqual(
      [0, 1, 2].map((channel) => [created.id, channel, `${relay.url}/v1/streams/${created.id}/attach`]),
    );
    expect(new Set(all(created).map(({ localSocket }) => localSocket)).size).toBe(3);
    expect(created.channels.map(({ ticket }) => ticket)).toEqual([null, null]);
    expect(JSON.stringify(await relay.client.streams())).not.toContain(created.ticket);
  });

  it('moves the bytes of each channel between the connections that were handed over, both ways, to their clean end', async () => {
    const { near, far, sent, received } = await streamingFamily();
    for (const [channel, { qemu }] of sent.entries()) qemu.end(`channel ${channel}`);
    for (const [channel, { qemu }] of received.entries()) {
      const [bytes] = (await once(qemu, 'data')) as [Buffer];
      expect(bytes.toString()).toBe(`channel ${channel}`);
      qemu.end();
    }
    for (const relay of [near, far]) await until(async () => (await states(relay)).every((state) => state === 'closed'));
  });

  it('I6: when one of its streams fails, all do, at both relays, with the reason; agents and QEMUs see the end', async () => {
    const { near, far, source, sent, received } = await streamingFamily();
    const closed = Promise.all([...sent, ...received].map(({ control }) => once(control, 'close')));
    await near.client.abortStream(source.channels[0]?.id ?? '');
    await closed;
    for (const relay of [near, far]) await until(async () => (await states(relay)).every((state) => state === 'failed'));
    const reasons = (await near.client.streams()).streams.map(({ reason }) => reason);
    expect(reasons[0]).toMatch(/^channel 1 of its family was lost: it was ended by a DELETE of/);
    expect([near.sockets(), far.sockets()]).toEqual([[], []]);
  });

  it('fails with a channel whose agent leaves instead of handing over its end', async () => {
    const [near, far] = [await relayProcess(), await relayProcess()];
    const destination = await destinationAt(far);
    waiting(destination);
    const controls = waiting(await sourceAt(near, destination));
    await Promise.all(controls.map((control) => once(control, 'data')));
    controls[2]?.destroy();
    for (const relay of [near, far]) await until(async () => (await states(relay)).every((state) => state === 'failed'));
    expect((await near.client.streams()).streams.map(({ reason }) => reason)).toContainEqual(
      expect.stringMatching(/^channel 2 of its family was lost: the agent of this host has given no connection/),
    );
  });

  it('takes no descriptor that is no socket', async () => {
    const near = await relayProcess();
    const source = await sourceAt(near, await destinationAt(await relayProcess()));
    const control = net.connect(source.localSocket ?? '');
    await once(control, 'data');
    const file = openFile('/dev/null', constants.O_RDONLY, 0);
    sendWithFd(descriptorOf(control), Buffer.from([1]), file);
    closeFd(file);
    await until(async () => (await states(near)).every((state) => state === 'failed'));
    expect((await near.client.stream(source.id)).reason).toMatch(/ENOTSOCK/);
  });

  it('threats 4 and 5: the ticket of a channel is its own, counts once and for no other channel', async () => {
    const relay = await relayProcess();
    const { attachUrl, ticket: secret, id } = await destinationAt(relay);
    const attach = (ticket: string, channel?: number, url = attachUrl ?? '') =>
      openStream({ url, ticket, migrationId: 'm1', deadlineMs: 5_000, channel }).then(({ socket }) => socket.destroy());
    const family1 = channelSecret(secret ?? '', 1);
    await expect(attach(secret ?? '', 1)).rejects.toMatchObject({ code: 'ticket-invalid' });
    await expect(attach(family1, 2)).rejects.toMatchObject({ code: 'ticket-invalid' });
    for (const channel of [3, 17, -1, 1.5])
      await expect(attach(family1, channel)).rejects.toMatchObject({ code: 'stream-not-found' });
    await expect(attach(secret ?? '')).rejects.toMatchObject({ code: 'stream-not-found' });
    const others = (await relay.client.streams()).streams.filter((stream) => stream.id !== id);
    for (const other of others)
      await expect(attach(family1, 1, attachUrl?.replace(id, other.id))).rejects.toMatchObject({ code: 'stream-not-found' });
    await attach(family1, 1);
    await expect(attach(family1, 1)).rejects.toMatchObject({ code: 'ticket-invalid' });
  });

  it('a source of fewer or more channels than its peer waits for is refused, or fails when its time is over', async () => {
    const [near, far] = [await relayProcess(), await relayProcess()];
    const destination = await destinationAt(far);
    waiting(destination);
    await expect(sourceAt(near, destination, { channels: 3 })).rejects.toMatchObject({ code: 'stream-not-found' });
    expect(await states(near)).toEqual([]);
    await until(async () => (await states(far)).every((state) => state === 'failed'));
    const brief = await destinationAt(far, { expiresSeconds: 1 });
    waiting(brief);
    waiting(await sourceAt(near, brief, { channels: 1 }));
    for (const relay of [near, far]) await until(async () => (await states(relay)).every((state) => state === 'failed'));
  });

  it('threat 13: each channel counts among the 64 streams that may be open', async () => {
    const relay = await relayProcess();
    for (let opened = 0; opened < 3; opened += 1) await destinationAt(relay, { channels: 16 });
    await expect(destinationAt(relay, { channels: 13 })).rejects.toMatchObject({ code: 'too-many-requests' });
    await destinationAt(relay, { channels: 12 });
    await expect(relay.client.createStream({ role: 'destination', migrationId: 'm2' })).rejects.toMatchObject({
      code: 'too-many-requests',
    });
    const [first] = (await relay.client.streams()).streams;
    await relay.client.abortStream(first?.id ?? '');
    await until(async () => (await states(relay)).filter((state) => state === 'failed').length === 17);
    await destinationAt(relay, { channels: 16 });
  });

  it.each([0, 17, 1.5])('of %d channels is refused', async (channels) => {
    const relay = await relayProcess();
    await expect(destinationAt(relay, { channels })).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  it('S38: is drained as its streams are: one that does not stream yet fails at once', async () => {
    const relay = await relayProcess();
    await destinationAt(relay);
    const exited = once(relay.child, 'exit');
    relay.child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
  });
});
