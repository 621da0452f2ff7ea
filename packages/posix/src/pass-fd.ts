import { endianness } from 'node:os';
import { VmferryError } from '@vmferry/errors';
import { errnoName, systemCallError } from './errno.js';
import { checked, lastErrno, libc } from './libc.js';

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const CMSG_LEN_ONE_FD = 20;
const CMSG_SPACE_ONE_FD = 24;

/**
 * Sends `payload` with one descriptor (SCM_RIGHTS) over a unix socket. The receiver gets a copy; ours stays open and ours to
 * close. On a socket of Node's, only while its `writableLength` is 0, or the payload overtakes bytes that wait there. A short
 * send is an error: the descriptor has gone with the first part then, and the rest could not be told from a new message.
 */
export function sendWithFd(socketFd: number, payload: Uint8Array, fd: number): void {
  if (payload.length === 0) {
    throw new VmferryError('invalid-argument', `A descriptor needs at least one byte to travel with on socket ${socketFd}.`);
  }
  const where = `descriptor ${fd} over socket ${socketFd}`;
  const message = messageOf(payload, rightsMessage(fd));
  const sent = checked('sendmsg', libc.sendmsg(socketFd, message, MSG_DONTWAIT | MSG_NOSIGNAL), where);
  if (sent === payload.length) return;
  throw new VmferryError('system-call-failed', `sendmsg of ${where} took ${sent} of ${payload.length} bytes; close the socket.`, {
    data: { call: 'sendmsg', errno: 0, name: 'SHORT-SEND', sent, wanted: payload.length },
  });
}

/**
 * Takes the descriptor that came with the next byte of a unix socket: the caller's own from now on, close-on-exec. `again`: nothing has come
 * yet. Throws `stream-failed` when the other side has ended, or sent a byte without a descriptor; a second one in the same message is closed by the kernel.
 */
export function receiveFd(socketFd: number): number | 'again' {
  const payload = new Uint8Array(1);
  const control = new Uint8Array(CMSG_SPACE_ONE_FD);
  const received = libc.recvmsg(socketFd, messageOf(payload, control), MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (received === -1) {
    const errno = lastErrno();
    const name = errnoName(errno);
    if (name === 'EAGAIN' || name === 'EINTR') return 'again';
    throw systemCallError('recvmsg', errno, `socket ${socketFd}`);
  }
  const fd = received === 0 ? null : descriptorIn(control);
  if (fd !== null) return fd;
  throw new VmferryError(
    'stream-failed',
    `Socket ${socketFd} ${received === 0 ? 'ended before' : 'brought a byte without'} a descriptor.`,
  );
}

function messageOf(payload: Uint8Array, control: Uint8Array) {
  return {
    msg_name: null,
    msg_namelen: 0,
    msg_iov: [{ iov_base: payload, iov_len: payload.length }],
    msg_iovlen: 1,
    msg_control: control,
    msg_controllen: control.length,
    msg_flags: 0,
  };
}

/** Null unless the kernel has written a message with one descriptor there. */
function descriptorIn(control: Uint8Array): number | null {
  const view = new DataView(control.buffer, control.byteOffset, control.byteLength);
  const little = endianness() === 'LE';
  const isOne =
    view.getBigUint64(0, little) === BigInt(CMSG_LEN_ONE_FD) &&
    view.getInt32(8, little) === SOL_SOCKET &&
    view.getInt32(12, little) === SCM_RIGHTS;
  return isOne ? view.getInt32(16, little) : null;
}

/** struct cmsghdr of a 64-bit Linux (u64 length, i32 level, i32 type) with one descriptor, padded to eight bytes. */
function rightsMessage(fd: number): Uint8Array {
  const bytes = new Uint8Array(CMSG_SPACE_ONE_FD);
  const view = new DataView(bytes.buffer);
  const little = endianness() === 'LE';
  view.setBigUint64(0, BigInt(CMSG_LEN_ONE_FD), little);
  view.setInt32(8, SOL_SOCKET, little);
  view.setInt32(12, SCM_RIGHTS, little);
  view.setInt32(16, fd, little);
  return bytes;
}
