import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, mkdtempSync, readFileSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { closeFd, openFile, pipe2, replaceFd, setNonBlocking } from './descriptors.js';
import { isErrno } from './errno.js';
import { descriptorOf, detachSocket } from './handles.js';
import { receiveFd, sendWithFd } from './pass-fd.js';
import {
  checkUnixSocketPath,
  congestionControl,
  limitUnsent,
  resetOnClose,
  sendWithoutDelay,
  setCongestionControl,
  setSendBuffer,
  shutdownFd,
  socketpair,
  takeSocketError,
  tcpRoundTripMicros,
} from './sockets.js';
import { poll, pollBits } from './splice.js';

const open: number[] = [];
function pair(): [number, number] {
  const [one, other] = socketpair();
  open.push(one, other);
  return [one, other];
}
afterEach(() => open.splice(0).forEach(closeFd));

/** Writes until the socket takes no more; how many bytes it took. */
function fill(fd: number): number {
  setNonBlocking(fd, true);
  const block = Buffer.alloc(4_096);
  let taken = 0;
  for (;;) {
    try {
      taken += writeSync(fd, block);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'EAGAIN') throw thrown;
      return taken;
    }
  }
}

async function tcpPair(): Promise<{ ours: number; peer: net.Socket }> {
  const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const peer = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  const [socket] = (await accepted) as [net.Socket];
  server.close();
  const ours = detachSocket(socket);
  return { ours, peer };
}

describe('sockets', () => {
  it('makes two ends that talk both ways, and half-closes one direction', () => {
    const [one, other] = pair();
    const bytes = Buffer.alloc(8);
    writeSync(one, 'there');
    expect(readSync(other, bytes)).toBe(5);
    writeSync(other, 'back');
    shutdownFd(one, 'write');
    expect(readSync(other, bytes)).toBe(0);
    expect(readSync(one, bytes)).toBe(4);
    expect(() => writeSync(one, 'x')).toThrow(/EPIPE/);
  });

  it('says that a descriptor is no socket', () => {
    const pipe = pipe2();
    open.push(pipe.read, pipe.write);
    for (const act of [
      () => shutdownFd(pipe.read, 'both'),
      () => resetOnClose(pipe.read, true),
      () => takeSocketError(pipe.read),
    ]) {
      expect(act).toThrow(/ENOTSOCK/);
    }
  });

  it('closes a TCP connection with a reset when asked to, and cleanly otherwise', async () => {
    for (const on of [true, false]) {
      const { ours, peer } = await tcpPair();
      sendWithoutDelay(ours);
      resetOnClose(ours, true);
      if (!on) resetOnClose(ours, false);
      const seen = new Promise((resolve) => {
        peer.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
        peer.once('end', () => resolve('end'));
      });
      peer.resume();
      closeFd(ours);
      expect(await seen).toBe(on ? 'ECONNRESET' : 'end');
      peer.destroy();
    }
  });

  it('takes a pending error from a socket once', async () => {
    const { ours, peer } = await tcpPair();
    open.push(ours);
    expect(takeSocketError(ours)).toBe(0);
    peer.resetAndDestroy();
    await once(peer, 'close');
    expect((poll([{ fd: ours, events: 0 }], 5_000)[0] ?? 0) & pollBits.error).toBe(pollBits.error);
    expect(takeSocketError(ours)).toBe(104);
    expect(takeSocketError(ours)).toBe(0);
  });

  it('leaves a unix socket alone when told not to wait for more', () => {
    const [one] = pair();
    expect(() => sendWithoutDelay(one)).not.toThrow();
  });

  it('leaves a unix socket alone when told how much may be unsent', () => {
    const [one] = pair();
    expect(() => limitUnsent(one, 1)).not.toThrow();
  });

  it('takes less into a TCP socket whose peer reads nothing when little may be unsent', async () => {
    const taken = async (limit: number | null) => {
      const { ours, peer } = await tcpPair();
      if (limit !== null) limitUnsent(ours, limit);
      const bytes = fill(ours);
      peer.destroy();
      closeFd(ours);
      return bytes;
    };
    const [limited, free] = [await taken(65_536), await taken(null)];
    expect(limited).toBeGreaterThan(0);
    expect(free - limited).toBeGreaterThan(1_048_576);
  });

  it('lets more bytes wait in a socket with a larger send buffer', () => {
    const held = (bytes: number) => {
      const [one] = pair();
      setSendBuffer(one, bytes);
      return fill(one);
    };
    const [small, large] = [held(16_384), held(131_072)];
    expect(small).toBeGreaterThan(0);
    expect(large).toBeGreaterThan(2 * small);
  });

  it('tells by what a TCP socket decides when to send, and changes it', async () => {
    const { ours, peer } = await tcpPair();
    open.push(ours);
    expect(congestionControl(ours)).toBe(readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim());
    setCongestionControl(ours, 'reno');
    expect(congestionControl(ours)).toBe('reno');
    expect(() => setCongestionControl(ours, 'none-such')).toThrow(/TCP_CONGESTION.*ENOENT|ENOENT.*TCP_CONGESTION/);
    expect(congestionControl(ours)).toBe('reno');
    peer.destroy();
  });

  it('knows the round trip of a TCP connection from its handshake on', async () => {
    const { ours, peer } = await tcpPair();
    open.push(ours);
    for (const fd of [ours, descriptorOf(peer)]) {
      expect(tcpRoundTripMicros(fd)).toBeGreaterThan(0);
      expect(tcpRoundTripMicros(fd)).toBeLessThan(1_000_000);
    }
    peer.destroy();
  });

  it('knows neither of a unix socket', () => {
    const [one] = pair();
    for (const ask of [() => congestionControl(one), () => tcpRoundTripMicros(one)]) expect(ask).toThrow(/EOPNOTSUPP/);
  });

  it('takes socket paths of up to 107 bytes, counted as UTF-8', () => {
    expect(() => checkUnixSocketPath(`/${'a'.repeat(106)}`)).not.toThrow();
    expect(() => checkUnixSocketPath(`/${'a'.repeat(107)}`)).toThrow(/107/);
    expect(() => checkUnixSocketPath(`/${'ä'.repeat(54)}`)).toThrow(/109 bytes/);
    expect(() => checkUnixSocketPath('')).toThrow(/empty/);
    expect(() => checkUnixSocketPath('/run/\0x')).toThrow(/NUL/);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 120 }), (path) => {
        fc.pre(!path.includes('\0'));
        if (Buffer.byteLength(path) <= 107) checkUnixSocketPath(path);
        else expect(() => checkUnixSocketPath(path)).toThrow();
      }),
    );
  });
});

/** Receives one message on its standard input, tells its text and what the descriptor in it reads, and closes. */
const receiver = `
import os, socket
s = socket.socket(fileno=0)
data, fds, flags, _ = socket.recv_fds(s, 4096, 1)
print(data.decode(), len(fds), os.read(fds[0], 100).decode())
`;

describe('sendWithFd', () => {
  it('hands an open file to another process together with the bytes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'posix-'));
    const path = join(folder, 'cargo');
    writeFileSync(path, 'cargo of the descriptor');
    const file = openFile(path, constants.O_RDONLY, 0);
    rmSync(folder, { recursive: true });
    const [ours, theirs] = pair();
    open.push(file);
    const child = spawn('python3', ['-c', receiver], { stdio: [theirs, 'pipe', 'inherit'] });
    if (child.stdout === null) throw new Error('no output');
    sendWithFd(ours, Buffer.from('{"execute":"getfd"}'), file);
    expect(await text(child.stdout)).toBe('{"execute":"getfd"} 1 cargo of the descriptor\n');
  });

  it('refuses an empty payload and a descriptor that is not open', () => {
    const [ours] = pair();
    expect(() => sendWithFd(ours, new Uint8Array(0), 0)).toThrow(/at least one byte/);
    expect(() => sendWithFd(ours, Buffer.from('x'), 987_654)).toThrow(/EBADF/);
  });

  it('never blocks: a full socket is EAGAIN, a part of the payload an error of its own', () => {
    const [ours] = pair();
    setNonBlocking(ours, true);
    expect(() => sendWithFd(ours, Buffer.alloc(8_000_000), 0)).toThrow(/of 8000000 bytes|EAGAIN|EMSGSIZE/);
    let thrown: unknown;
    for (let tries = 0; tries < 10_000 && thrown === undefined; tries += 1) {
      try {
        sendWithFd(ours, Buffer.alloc(1000), 0);
      } catch (error) {
        thrown = error;
      }
    }
    expect(isErrno(thrown, 'EAGAIN', 'SHORT-SEND')).toBe(true);
  });

  it('does not die of a receiver that is gone', () => {
    const [ours, theirs] = socketpair();
    open.push(ours);
    closeFd(theirs);
    expect(() => sendWithFd(ours, Buffer.from('x'), 0)).toThrow(/EPIPE/);
  });
});

describe('receiveFd', () => {
  it('takes the descriptor that was sent, and nothing before it was', () => {
    const [ours, theirs] = pair();
    const [wanted, other] = pair();
    expect(receiveFd(ours)).toBe('again');
    sendWithFd(theirs, Buffer.from('x'), wanted);
    const received = receiveFd(ours);
    if (received === 'again') throw new Error('it was sent');
    open.push(received);
    expect([wanted, other, ours, theirs]).not.toContain(received);
    writeSync(received, 'over');
    const bytes = Buffer.alloc(8);
    expect(bytes.subarray(0, readSync(other, bytes)).toString()).toBe('over');
    expect(receiveFd(ours)).toBe('again');
  });

  it('tells an end, and a byte that brings no descriptor', () => {
    const [ours, theirs] = socketpair();
    open.push(ours);
    writeSync(theirs, 'x');
    expect(() => receiveFd(ours)).toThrow(/without a descriptor/);
    closeFd(theirs);
    expect(() => receiveFd(ours)).toThrow(/ended before a descriptor/);
    expect(() => receiveFd(987_654)).toThrow(/EBADF/);
  });
});

it('replaceFd: a number means another open file from one moment to the next', () => {
  const [one, other] = pair();
  const [received, far] = socketpair();
  open.push(far);
  replaceFd(one, received);
  expect(() => writeSync(received, 'x')).toThrow(/EBADF/);
  writeSync(one, 'new');
  const bytes = Buffer.alloc(8);
  expect(bytes.subarray(0, readSync(far, bytes)).toString()).toBe('new');
  expect(readSync(other, bytes)).toBe(0);
});
