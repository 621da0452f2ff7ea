import { constants, openSync, writeSync } from 'node:fs';
import { errnoName, fromNodeError, systemCallError } from './errno.js';
import { checked, lastErrno, libc } from './libc.js';

const O_CLOEXEC = 0o2_000_000;
const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const F_SETPIPE_SZ = 1031;
const F_GETPIPE_SZ = 1032;
const EFD_CLOEXEC = O_CLOEXEC;
const EFD_NONBLOCK = constants.O_NONBLOCK;
const STDERR = 2;

/** A kernel pipe, both ends close-on-exec and blocking. */
export function pipe2(): { read: number; write: number } {
  const fds = new Int32Array(2);
  checked('pipe2', libc.pipe2(fds, O_CLOEXEC), 'a new pipe');
  const [read = -1, write = -1] = fds;
  return { read, write };
}

/**
 * Asks for a pipe of `bytes` and returns the size that it has then. The kernel rounds up to pages; it refuses a user who holds
 * too many (pipe-user-pages-soft), and then the pipe keeps the size it has: slower, never wrong.
 */
export function resizePipe(fd: number, bytes: number): number {
  const size = libc.fcntl(fd, F_SETPIPE_SZ, 'int', bytes);
  if (size !== -1) return size;
  const errno = lastErrno();
  if (errnoName(errno) !== 'EPERM') throw systemCallError('fcntl F_SETPIPE_SZ', errno, `descriptor ${fd}`);
  return checked('fcntl F_GETPIPE_SZ', libc.fcntl(fd, F_GETPIPE_SZ, 'int', 0), `descriptor ${fd}`);
}

/** Never call it twice with one number: by then it may belong to someone else. */
export function closeFd(fd: number): void {
  checked('close', libc.close(fd), `descriptor ${fd}`);
}

/** A second descriptor of the same open file, close-on-exec, above the three standard ones. */
export function duplicateFd(fd: number): number {
  return checked('fcntl F_DUPFD_CLOEXEC', libc.fcntl(fd, F_DUPFD_CLOEXEC, 'int', STDERR + 1), `descriptor ${fd}`);
}

/** Makes the number `as` mean the open file of `fd`, close-on-exec, and closes `fd`; what `as` meant before is closed in the same moment. */
export function replaceFd(as: number, fd: number): void {
  try {
    checked('dup3', libc.dup3(fd, as, O_CLOEXEC), `descriptor ${fd} as ${as}`);
  } finally {
    closeFd(fd);
  }
}

/** O_NONBLOCK belongs to the open file: every descriptor of it, in every process, changes with it. */
export function setNonBlocking(fd: number, on: boolean): void {
  const flags = checked('fcntl F_GETFL', libc.fcntl(fd, F_GETFL, 'int', 0), `descriptor ${fd}`);
  const wanted = on ? flags | constants.O_NONBLOCK : flags & ~constants.O_NONBLOCK;
  checked('fcntl F_SETFL', libc.fcntl(fd, F_SETFL, 'int', wanted), `descriptor ${fd}`);
}

/** `flags` are those of `fs.constants`; O_CLOEXEC is always added. The caller closes the descriptor with `closeFd`. */
export function openFile(path: string, flags: number, mode: number): number {
  try {
    return openSync(path, flags | O_CLOEXEC, mode);
  } catch (thrown) {
    throw fromNodeError(thrown, path);
  }
}

/** A descriptor that wakes a `poll`; reading and writing never block. */
export function eventfd(): number {
  return checked('eventfd', libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'a new wake-up descriptor');
}

/** Makes the eventfd readable. It stays so: nothing here reads it back, a wake-up is a one-way message. */
export function notifyEventfd(fd: number): void {
  try {
    writeSync(fd, new Uint8Array(new BigUint64Array([1n]).buffer));
  } catch (thrown) {
    throw fromNodeError(thrown, `eventfd ${fd}`);
  }
}
