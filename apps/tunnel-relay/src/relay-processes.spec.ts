import { once } from 'node:events';
import net from 'node:net';
import { openStream } from '@vmferry/client';
import { closeFd, detachSocket, resetOnClose } from '@vmferry/posix';
import { describe, expect, it } from 'vitest';
import {
  closeOf,
  expectBothWays,
  expectNothingLeftByMore,
  qemuEnd,
  refusedRelay,
  relayProcess,
  streamIn,
  tunnel,
} from './testing/relay-processes.js';

const bytes = 16 * 1_048_576;

describe('two relays in two processes', () => {
  it('S37, S39, S50: carry 16 MiB both ways at once, keep half-closes, and leave nothing behind', async () => {
    const [a, b] = [await relayProcess(), await relayProcess()];
    const { source, destination, qemuA, qemuB } = await tunnel(a, b);
    await expectBothWays({ qemuA, qemuB }, bytes);
    expect(await streamIn(a, source.id, 'closed')).toMatchObject({ bytesToPeer: bytes, bytesFromPeer: bytes, reason: null });
    expect(await streamIn(b, destination.id, 'closed')).toMatchObject({ bytesToPeer: bytes, bytesFromPeer: bytes, reason: null });
    expect([a.sockets(), b.sockets()]).toEqual([[], []]);
    await expectNothingLeftByMore(a, b);
  });

  it('the control loop answers while a stream is stalled, and DELETE aborts it on both sides (S37)', async () => {
    const [a, b] = [await relayProcess(), await relayProcess()];
    const { source, destination, qemuA, qemuB } = await tunnel(a, b);
    for (const qemu of [qemuA, qemuB]) qemu.on('error', () => undefined);
    qemuB.pause();
    while (qemuA.write(Buffer.alloc(1_048_576))) if (qemuA.writableLength > 8_388_608) break;
    await streamIn(a, source.id, 'streaming');
    await a.client.abortStream(source.id);
    expect((await a.client.stream(source.id)).reason).toBe('it was ended by a DELETE of local');
    qemuB.resume();
    expect((await streamIn(b, destination.id, 'failed')).reason).toMatch(/relay of the other host broke/);
  });

  it('threat 4: a wrong ticket, a used one and a silent stranger do not harm the stream that waits', async () => {
    const b = await relayProcess();
    const destination = await b.client.createStream({ role: 'destination', migrationId: 'm1' });
    const attach = (ticket: string) =>
      openStream({ url: destination.attachUrl ?? '', ticket, migrationId: 'm1', deadlineMs: 5_000 });
    const stranger = net.connect(Number(new URL(b.url).port), '127.0.0.1');
    await once(stranger, 'connect');
    await expect(attach('guess'.repeat(12))).rejects.toMatchObject({ code: 'ticket-invalid' });
    const { socket } = await attach(destination.ticket ?? '');
    await expect(attach(destination.ticket ?? '')).rejects.toMatchObject({ code: 'ticket-invalid' });
    const fd = detachSocket(socket);
    const qemuB = await qemuEnd(destination);
    await streamIn(b, destination.id, 'streaming');
    const peer = new net.Socket({ fd });
    peer.end('the stream');
    expect((await once(qemuB, 'data'))[0].toString()).toBe('the stream');
    qemuB.end();
    peer.resume();
    await streamIn(b, destination.id, 'closed');
    stranger.destroy();
  });

  it('a silent peer is noticed by the relay that was told to', async () => {
    const [a, b] = [await relayProcess(), await relayProcess(['--silence-seconds', '1'])];
    const { destination, qemuA, qemuB } = await tunnel(a, b);
    for (const qemu of [qemuA, qemuB]) qemu.on('error', () => undefined).resume();
    expect((await streamIn(b, destination.id, 'failed')).reason).toBe('the stream was silent for 1000 ms');
  });

  it('a peer that is cut off by a reset fails the stream, and QEMU is told', async () => {
    const b = await relayProcess();
    const destination = await b.client.createStream({ role: 'destination', migrationId: 'm1' });
    const { socket } = await openStream({
      url: destination.attachUrl ?? '',
      ticket: destination.ticket ?? '',
      migrationId: 'm1',
      deadlineMs: 5_000,
    });
    const qemuB = await qemuEnd(destination);
    const closed = closeOf(qemuB);
    await streamIn(b, destination.id, 'streaming');
    const fd = detachSocket(socket);
    resetOnClose(fd, true);
    closeFd(fd);
    expect((await streamIn(b, destination.id, 'failed')).reason).toMatch(/relay of the other host broke \(ECONNRESET\)/);
    qemuB.end();
    await closed;
  });

  it.each(['SIGKILL', 'R3=kill'])(
    'a relay that is killed (%s) fails the stream of the other one, and both QEMUs are told',
    async (how) => {
      const a = await relayProcess([], how === 'SIGKILL' ? {} : { VMFERRY_FAULT: how });
      const b = await relayProcess();
      const { destination, qemuA, qemuB } = await tunnel(a, b);
      const over = [qemuA, qemuB].map((qemu) => closeOf(qemu.on('end', () => qemu.end())));
      if (how === 'SIGKILL') {
        await streamIn(b, destination.id, 'streaming');
        a.child.kill('SIGKILL');
      }
      const { reason } = await streamIn(b, destination.id, 'failed', 'closed');
      expect(reason).toMatch(/relay of the other host broke/);
      await Promise.all(over);
    },
  );

  it.each(['source', 'destination'])(
    'the relay of the %s is killed before anything streams: the other one does not take that for an end',
    async (killed) => {
      const [a, b] = [await relayProcess(), await relayProcess()];
      const destination = await b.client.createStream({ role: 'destination', migrationId: 'm1' });
      const peer = { url: destination.attachUrl ?? '', ticket: destination.ticket ?? '' };
      const source = await a.client.createStream({ role: 'source', migrationId: 'm1', peer });
      await streamIn(b, destination.id, 'attached');
      const [victim, survivor, stream] = killed === 'source' ? [a, b, destination] : [b, a, source];
      victim.child.kill('SIGKILL');
      await once(victim.child, 'exit');
      const qemu = await qemuEnd(stream);
      qemu.on('error', () => undefined).end();
      qemu.resume();
      expect((await streamIn(survivor, stream.id, 'failed', 'closed')).reason).toMatch(/relay of the other host broke/);
    },
  );

  it('a second relay of one state folder refuses to start and names the first', async () => {
    const a = await relayProcess();
    expect(await a.client.version()).toMatchObject({ app: 'tunnel-relay', hostName: 'spec', protocols: ['v3'] });
    const second = await refusedRelay(['--state-dir', a.stateDir]);
    expect([second.code, second.errors]).toEqual([1, expect.stringContaining(`process ${a.child.pid} holds`)]);
    expect((await a.client.version()).storeId).toMatch(/^[0-9a-f]{32}$/);
  });

  it.each([
    [['--listen', '0.0.0.0:0'], 1, /listens on loopback only/],
    [['--listen', 'nonsense'], 1, /HOST:PORT/],
    [['--runtime-dir', `/run/${'r'.repeat(56)}`], 1, /has 61 bytes, and 60 are the most/],
    [['--public-url', 'ftp://x'], 1, /http:\/\/HOST:PORT/],
    [['--attach-timeout-seconds', '0'], 2, /whole seconds from 1 to 3600/],
  ])('arguments %o end it with %i and a message', async (args, status, message) => {
    const { code, errors } = await refusedRelay(args);
    expect([code, errors]).toEqual([status, expect.stringMatching(message)]);
  });
});
