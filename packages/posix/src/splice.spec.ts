import { createHash, randomBytes } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { closeFd, pipe2, setNonBlocking } from './descriptors.js';
import { isErrno } from './errno.js';
import { shutdownFd, socketpair } from './sockets.js';
import { poll, pollBits, splice } from './splice.js';

const open: number[] = [];
function ends(): { from: number; into: number; pipe: { read: number; write: number }; to: number; out: number } {
  const [into, from] = socketpair();
  const [to, out] = socketpair();
  const pipe = pipe2();
  open.push(into, from, to, out, pipe.read, pipe.write);
  setNonBlocking(from, true);
  setNonBlocking(to, true);
  return { from, into, pipe, to, out };
}
afterEach(() => open.splice(0).forEach(closeFd));

describe('splice', () => {
  it('moves bytes from socket to socket through a pipe, whole and in order', () => {
    const { from, into, pipe, to, out } = ends();
    const sent = randomBytes(40_000);
    const digest = createHash('sha256');
    for (let turn = 0; turn < 50; turn += 1) {
      expect(writeSync(into, sent)).toBe(40_000);
      let left = 40_000;
      while (left > 0) {
        const taken = splice(from, pipe.write, 65_536);
        if (taken === 'again') throw new Error('the bytes are there');
        for (let inPipe = taken; inPipe > 0; ) {
          const given = splice(pipe.read, to, inPipe);
          if (given === 'again') throw new Error('the socket has room');
          inPipe -= given;
        }
        left -= taken;
      }
      const got = Buffer.alloc(40_000);
      for (let at = 0; at < got.length; ) at += readSync(out, got, at, got.length - at, null);
      digest.update(got);
    }
    const expected = createHash('sha256');
    for (let turn = 0; turn < 50; turn += 1) expected.update(sent);
    expect(digest.digest('hex')).toBe(expected.digest('hex'));
  });

  it('tells an empty socket from its end', () => {
    const { from, into, pipe } = ends();
    expect(splice(from, pipe.write, 1)).toBe('again');
    shutdownFd(into, 'write');
    expect(splice(from, pipe.write, 1)).toBe(0);
  });

  it('does not block on a full pipe or a full socket', () => {
    const { from, into, pipe, to } = ends();
    setNonBlocking(into, true);
    const block = Buffer.alloc(65_536);
    const fill = () => {
      try {
        return writeSync(into, block) > 0;
      } catch {
        return false;
      }
    };
    let moved: number | 'again' = 1;
    while (moved !== 'again') {
      while (fill());
      moved = splice(from, pipe.write, 65_536);
    }
    let given: number | 'again' = 1;
    while (given !== 'again') {
      given = splice(pipe.read, to, 65_536);
      while (fill());
      splice(from, pipe.write, 65_536);
    }
    expect(given).toBe('again');
  });

  it('reports a peer that is gone by name', () => {
    const { pipe } = ends();
    const [to, out] = socketpair();
    open.push(to);
    closeFd(out);
    writeSync(pipe.write, 'x');
    let thrown: unknown;
    try {
      splice(pipe.read, to, 1);
    } catch (error) {
      thrown = error;
    }
    expect(isErrno(thrown, 'EPIPE')).toBe(true);
  });
});

describe('poll', () => {
  it('answers in the order of the requests, and passes over a negative descriptor', () => {
    const { from, into, to } = ends();
    writeSync(into, 'x');
    const both = pollBits.readable | pollBits.writable;
    expect(
      poll(
        [
          { fd: from, events: both },
          { fd: -1, events: both },
          { fd: to, events: pollBits.readable },
          { fd: to, events: both },
          { fd: 987_654, events: both },
        ],
        -1,
      ),
    ).toEqual([both, 0, 0, pollBits.writable, pollBits.invalid]);
  });

  it('says hang-up unasked', () => {
    const [one, other] = socketpair();
    open.push(one);
    closeFd(other);
    expect(poll([{ fd: one, events: 0 }], -1)).toEqual([pollBits.hangUp]);
  });
});
