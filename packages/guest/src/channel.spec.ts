import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@vmferry/seams';
import { expect, it } from 'vitest';
import { Channel, connectLocalStream } from './index.js';

it('is the connection itself: shutting it ends it for everyone who shares it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'vc-'));
  const path = join(folder, 's');
  const server = createServer();
  server.listen(path);
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const channel = await connectLocalStream(path, { clock: systemClock, deadlineMs: 1_000 });
  const [peer] = await accepted;
  peer.resume();
  const ended = once(peer, 'end');
  channel.shut();
  await ended;
  channel.release();
  channel.release();
  channel.shut();
  server.close();
  await rm(folder, { recursive: true });
});

it('can be shut when the peer has reset it: then there is nothing to end', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const socket = createConnection(address.port, '127.0.0.1');
  await once(socket, 'connect');
  const [peer] = await accepted;
  const channel = Channel.of(socket);
  const closed = once(peer, 'close');
  peer.resetAndDestroy();
  await closed;
  channel.shut();
  channel.release();
  server.close();
});

it('says which socket cannot be connected', async () => {
  await expect(connectLocalStream('/nonexistent/stream', { clock: systemClock, deadlineMs: 1_000 })).rejects.toMatchObject({
    code: 'stream-failed',
  });
});

it('tells how long the peer of a TCP connection has been silent', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const socket = createConnection(address.port, '127.0.0.1');
  await once(socket, 'connect');
  const channel = Channel.of(socket);
  const [peer] = await accepted;
  peer.write('x');
  await expect.poll(() => channel.silentMs()).toBeLessThan(1_000);
  channel.shut();
  channel.release();
  peer.destroy();
  server.close();
});
