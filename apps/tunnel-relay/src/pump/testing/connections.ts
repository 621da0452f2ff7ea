import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { detachSocket } from '@vmferry/posix';

export type Family = 'tcp' | 'unix';

/** A real connection: the pump's descriptor of it, and the peer as Node's socket that keeps its half when the other ends. */
export interface Connection {
  readonly fd: number;
  readonly peer: net.Socket;
}

export async function connection(family: Family): Promise<Connection> {
  const folder = mkdtempSync(join(tmpdir(), 'pump-'));
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
  if (family === 'tcp') server.listen(0, '127.0.0.1');
  else server.listen(join(folder, 's'));
  await once(server, 'listening');
  const address = server.address();
  const accepted = once(server, 'connection');
  const peer =
    typeof address === 'object' && address !== null
      ? net.connect({ port: address.port, host: '127.0.0.1', allowHalfOpen: true })
      : net.connect({ path: join(folder, 's'), allowHalfOpen: true });
  const [socket] = (await accepted) as [net.Socket];
  server.close();
  rmSync(folder, { recursive: true });
  return { fd: detachSocket(socket), peer };
}

/** Writes `blocks` random blocks of 64 KiB as fast as they are taken, ends the direction, and tells the digest of all. */
export async function send(peer: net.Socket, blocks: number): Promise<string> {
  const digest = createHash('sha256');
  for (let count = 0; count < blocks; count += 1) {
    const block = randomBytes(65_536);
    digest.update(block);
    if (!peer.write(block)) await once(peer, 'drain');
  }
  peer.end();
  return digest.digest('hex');
}

/** Reads to the end of the direction and tells the digest of all. */
export async function receive(peer: net.Socket): Promise<string> {
  const digest = createHash('sha256');
  peer.on('data', (bytes: Buffer) => digest.update(bytes));
  await once(peer, 'end');
  return digest.digest('hex');
}

/** How the connection came to its end for the peer: `end`, or the code of its error. */
export function fate(peer: net.Socket): Promise<string> {
  return new Promise((resolve) => {
    peer.once('end', () => resolve('end'));
    peer.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'no code'));
    peer.resume();
  });
}
