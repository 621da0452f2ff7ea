import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { connectDatagram, sendDatagram } from './datagrams.js';
import { closeFd } from './descriptors.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'posix-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Listens, says so, and tells the datagrams that come until an empty one. */
const receiver = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('listening', file=sys.stderr)
for data in iter(lambda: s.recv(100000), b''): print(len(data), data[:3].decode())
`;

it('each datagram arrives as one, however long, and in its order', async () => {
  const path = join(folder, 's');
  const child = spawn('python3', ['-u', '-c', receiver, path], { stdio: ['ignore', 'pipe', 'pipe'] });
  await once(child.stderr, 'data');
  const fd = connectDatagram(path);
  for (const payload of ['one', 'x'.repeat(60_000), 'two', '']) sendDatagram(fd, Buffer.from(payload));
  expect(await text(child.stdout)).toBe('3 one\n60000 xxx\n3 two\n');
  // Its reader is gone, though its path is still there.
  expect(() => sendDatagram(fd, Buffer.from('late'))).toThrow(/ECONNREFUSED/);
  expect(() => connectDatagram(path)).toThrow(/ECONNREFUSED/);
  closeFd(fd);
});

it('says that nobody is there, and refuses a path that the kernel cannot hold', () => {
  expect(() => connectDatagram(join(folder, 'none'))).toThrow(/ENOENT/);
  expect(() => connectDatagram(`/${'a'.repeat(107)}`)).toThrow(/107/);
});
