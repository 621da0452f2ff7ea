import { spawnSync } from 'node:child_process';
import { constants, existsSync, mkdtempSync, readFileSync, readlinkSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { closeFd, duplicateFd, eventfd, notifyEventfd, openFile, pipe2, resizePipe, setNonBlocking } from './descriptors.js';
import { isErrno } from './errno.js';
import { poll, pollBits } from './splice.js';

const open: number[] = [];
function keep(fd: number): number {
  open.push(fd);
  return fd;
}
afterEach(() => open.splice(0).forEach(closeFd));

function flagsOf(fd: number): number {
  return Number.parseInt(/flags:\s+([0-7]+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '', 8);
}

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (thrown) {
    return thrown;
  }
  throw new Error('nothing was thrown');
}

describe('descriptors', () => {
  it('makes a pipe whose bytes come out in order and that no child inherits', () => {
    const pipe = pipe2();
    keep(pipe.read);
    keep(pipe.write);
    writeSync(pipe.write, 'ferry');
    const bytes = Buffer.alloc(8);
    expect(readSync(pipe.read, bytes)).toBe(5);
    expect(bytes.toString('utf8', 0, 5)).toBe('ferry');
    const link = readlinkSync(`/proc/self/fd/${pipe.read}`);
    const child = spawnSync('/bin/sh', ['-c', 'ls -l /proc/$$/fd'], { encoding: 'utf8' });
    expect(child.status).toBe(0);
    expect(child.stdout).not.toContain(link);
  });

  it('resizes a pipe and says what size it got', () => {
    const pipe = pipe2();
    keep(pipe.read);
    keep(pipe.write);
    expect(resizePipe(pipe.write, 200_000)).toBe(262_144);
    expect(
      isErrno(
        thrownBy(() => resizePipe(pipe.write, -1)),
        'EINVAL',
      ),
    ).toBe(true);
  });

  it('duplicates: the copy is close-on-exec, outlives the original and shares its flags', () => {
    const pipe = pipe2();
    keep(pipe.write);
    const copy = keep(duplicateFd(pipe.read));
    expect(copy).toBeGreaterThan(2);
    expect(flagsOf(copy) & 0o2_000_000).not.toBe(0);
    setNonBlocking(pipe.read, true);
    expect(flagsOf(copy) & constants.O_NONBLOCK).not.toBe(0);
    setNonBlocking(copy, false);
    expect(flagsOf(pipe.read) & constants.O_NONBLOCK).toBe(0);
    closeFd(pipe.read);
    writeSync(pipe.write, 'x');
    expect(readSync(copy, Buffer.alloc(1))).toBe(1);
  });

  it('names the call, the errno and the descriptor in an error', () => {
    const error = thrownBy(() => closeFd(987_654));
    expect(error).toMatchObject({
      code: 'system-call-failed',
      message: 'close of descriptor 987654 failed with EBADF (9).',
      data: { call: 'close', errno: 9, name: 'EBADF' },
    });
    expect(
      isErrno(
        thrownBy(() => duplicateFd(987_654)),
        'EBADF',
      ),
    ).toBe(true);
    expect(
      isErrno(
        thrownBy(() => setNonBlocking(987_654, true)),
        'EBADF',
      ),
    ).toBe(true);
  });

  it('opens a file with flags and mode, close-on-exec', () => {
    const folder = mkdtempSync(join(tmpdir(), 'posix-'));
    try {
      const path = join(folder, 'agent.lock');
      const fd = keep(openFile(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600));
      expect(existsSync(path)).toBe(true);
      expect(flagsOf(fd) & 0o2_000_000).not.toBe(0);
      expect(
        isErrno(
          thrownBy(() => openFile(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600)),
          'EEXIST',
        ),
      ).toBe(true);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('wakes a poll with an eventfd, and it stays awake', () => {
    const wake = keep(eventfd());
    expect(poll([{ fd: wake, events: pollBits.readable }], 0)).toEqual([0]);
    notifyEventfd(wake);
    notifyEventfd(wake);
    expect(poll([{ fd: wake, events: pollBits.readable }], -1)).toEqual([pollBits.readable]);
    expect(poll([{ fd: wake, events: pollBits.readable }], -1)).toEqual([pollBits.readable]);
  });
});
