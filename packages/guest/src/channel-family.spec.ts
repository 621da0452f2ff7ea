import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeFd, detachSocket, receiveFd } from '@vmferry/posix';
import { systemClock } from '@vmferry/seams';
import { expect, it, onTestFinished } from 'vitest';
import { type Channel, ChannelFamily, connectLocalStream } from './index.js';

/** What stands for the relay: it listens for two streams, and has the connections of the agent. */
async function relay() {
  const folder = await mkdtemp(join(tmpdir(), 'vcf-'));
  const taken: Socket[] = [];
  const paths = ['0', '1'].map((name) => join(folder, name));
  const servers = paths.map((path, channel) =>
    createServer({ pauseOnConnect: true }, (socket) => {
      taken[channel] = socket;
    }).listen(path),
  );
  await Promise.all(servers.map((server) => once(server, 'listening')));
  onTestFinished(async () => {
    for (const socket of taken) socket.destroy();
    for (const server of servers) server.close();
    await rm(folder, { recursive: true });
  });
  return { paths, taken };
}

async function family(ended: (channel: number) => void = () => undefined) {
  const { paths, taken } = await relay();
  const made = await ChannelFamily.connect(paths, { clock: systemClock, deadlineMs: 1_000, ended });
  onTestFinished(() => made.release());
  while (taken.filter(() => true).length < 2) await new Promise(setImmediate);
  return { made, taken };
}

/** A connection whose other end is QEMU. */
async function toQemu(): Promise<{ channel: Channel; qemu: Socket }> {
  const folder = await mkdtemp(join(tmpdir(), 'vcq-'));
  const server = createServer().listen(join(folder, 's'));
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const channel = await connectLocalStream(join(folder, 's'), { clock: systemClock, deadlineMs: 1_000 });
  const [qemu] = await accepted;
  qemu.on('error', () => undefined).resume();
  server.close();
  await rm(folder, { recursive: true });
  return { channel, qemu };
}

it('waits for the call of each stream, and hands over its connection then', async () => {
  const { made, taken } = await family();
  expect(made.size).toBe(2);
  let called = false;
  const second = made.called(1).then(() => {
    called = true;
  });
  taken[0]?.write('c');
  await made.called(0);
  expect(called).toBe(false);
  taken[1]?.write('c');
  await second;
  const { channel, qemu } = await toQemu();
  made.give(1, channel);
  const control = detachSocket(taken[1] as Socket);
  const received = receiveFd(control);
  if (received === 'again') throw new Error('it was sent before');
  const heard = once(qemu, 'end');
  made.shut();
  await heard;
  for (const fd of [received, control]) closeFd(fd);
});

it('the end of a stream is the end of its connection, for QEMU too, and is told', async () => {
  const told: number[] = [];
  const { made, taken } = await family((channel) => told.push(channel));
  const { channel, qemu } = await toQemu();
  made.give(1, channel);
  const heard = once(qemu, 'end');
  taken[1]?.destroy();
  await heard;
  expect(told).toEqual([1]);
  await expect(made.called(1)).rejects.toMatchObject({ code: 'stream-failed' });
});

it('I6: a family that was released shuts what comes late; one that cannot be connected leaves nothing', async () => {
  const { made } = await family();
  made.release();
  const { channel, qemu } = await toQemu();
  const heard = once(qemu, 'end');
  made.give(0, channel);
  await heard;
  const { paths, taken } = await relay();
  const options = { clock: systemClock, deadlineMs: 1_000 };
  await expect(ChannelFamily.connect([paths[0] ?? '', '/nonexistent/1'], options)).rejects.toMatchObject({
    code: 'stream-failed',
  });
  while (taken[0] === undefined) await new Promise(setImmediate);
  await once(taken[0].resume(), 'close');
});
