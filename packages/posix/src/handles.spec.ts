import { once } from 'node:events';
import { readSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { describe, expect, it } from 'vitest';
import { closeFd, setNonBlocking } from './descriptors.js';
import { detachSocket, takeHandle } from './handles.js';
import { shutdownFd } from './sockets.js';
import { poll, pollBits } from './splice.js';

/** An HTTP upgrade whose handler detaches the connection after its 101 has gone out. */
async function upgraded(): Promise<{ fd: number; head: Buffer; peer: net.Socket }> {
  const server = http.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const taken = new Promise<{ fd: number; head: Buffer }>((resolve) => {
    server.once('upgrade', (_request, duplex: net.Socket, head: Buffer) => {
      takeHandle(duplex);
      duplex.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n', () => {
        resolve({ fd: detachSocket(duplex), head });
      });
    });
  });
  const peer = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  peer.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\nHEAD');
  await once(peer, 'data');
  const { fd, head } = await taken;
  server.close();
  return { fd, head, peer };
}

describe('detachSocket', () => {
  it('takes an upgraded connection from Node without losing a byte', async () => {
    const { fd, head, peer } = await upgraded();
    expect(head.toString()).toBe('HEAD');
    const sent = Buffer.alloc(300_000, 'm');
    peer.end(sent);
    setNonBlocking(fd, false);
    const bytes = Buffer.alloc(65_536);
    let got = 0;
    // The peer lives on this thread's event loop: give it its turns while there is nothing to read.
    while (true) {
      if (poll([{ fd, events: pollBits.readable }], 0)[0] === 0) {
        await new Promise(setImmediate);
        continue;
      }
      const count = readSync(fd, bytes);
      if (count === 0) break;
      got += count;
    }
    expect(got).toBe(sent.length);
    const ended = once(peer, 'end');
    peer.resume();
    shutdownFd(fd, 'write');
    await ended;
    closeFd(fd);
  });

  it('refuses a socket that is closed, and one with unsent bytes', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection');
    const peer = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1').pause();
    const [socket] = (await accepted) as [net.Socket];
    socket.write(Buffer.alloc(30_000_000));
    expect(() => detachSocket(socket)).toThrow(/unsent/);
    socket.destroy();
    await once(socket, 'close');
    expect(() => takeHandle(socket)).toThrow(/closed/);
    peer.destroy();
    server.close();
  });
});
