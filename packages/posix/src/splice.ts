import { endianness } from 'node:os';
import { errnoName, systemCallError } from './errno.js';
import { lastErrno, libc } from './libc.js';

const SPLICE_F_MOVE = 1;
const SPLICE_F_NONBLOCK = 2;
const pollFdBytes = 8;
const little = endianness() === 'LE';

/** Bits of `events` and of the answer of `poll`. `error`, `hangUp` and `invalid` come unasked. */
export const pollBits = { readable: 0x1, writable: 0x4, error: 0x8, hangUp: 0x10, invalid: 0x20 } as const;

/**
 * Moves up to `bytes` bytes between a pipe and another descriptor inside the kernel. 0 is the end of the input. `again` means
 * that nothing could move now: the input is empty or the pipe has no free slot, and the kernel does not say which. A socket
 * must be O_NONBLOCK too: kernels before 6.5 ignore the flag of the call when they write to one.
 */
export function splice(fdIn: number, fdOut: number, bytes: number): number | 'again' {
  const moved = libc.splice(fdIn, null, fdOut, null, bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (moved !== -1) return moved;
  const errno = lastErrno();
  const name = errnoName(errno);
  if (name === 'EAGAIN' || name === 'EINTR') return 'again';
  throw systemCallError('splice', errno, `descriptor ${fdIn} to ${fdOut}`);
}

/** One descriptor of a `poll`; a negative `fd` is passed over. */
export interface PollRequest {
  readonly fd: number;
  readonly events: number;
}

/**
 * Blocks the thread until a descriptor is ready or `timeoutMs` is over (-1: for ever), so it belongs in a worker thread. The
 * answer has the ready bits of each request, in order; all 0 after a timeout or a signal.
 */
export function poll(requests: readonly PollRequest[], timeoutMs: number): number[] {
  const fds = Buffer.alloc(requests.length * pollFdBytes);
  const view = new DataView(fds.buffer, fds.byteOffset, fds.byteLength);
  requests.forEach(({ fd, events }, index) => {
    view.setInt32(index * pollFdBytes, fd, little);
    view.setInt16(index * pollFdBytes + 4, events, little);
  });
  const ready = libc.poll(fds, requests.length, timeoutMs);
  if (ready === -1) {
    const errno = lastErrno();
    if (errnoName(errno) !== 'EINTR') throw systemCallError('poll', errno, `${requests.length} descriptors`);
    return requests.map(() => 0);
  }
  return requests.map((_, index) => view.getInt16(index * pollFdBytes + 6, little));
}
