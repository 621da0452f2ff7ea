import { endianness } from 'node:os';
import { VmferryError } from '@vmferry/errors';
import { checked, libc } from './libc.js';

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
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
  const control = rightsMessage(fd);
  const header = {
    msg_name: null,
    msg_namelen: 0,
    msg_iov: [{ iov_base: payload, iov_len: payload.length }],
    msg_iovlen: 1,
    msg_control: control,
    msg_controllen: control.length,
    msg_flags: 0,
  };
  const where = `descriptor ${fd} over socket ${socketFd}`;
  const sent = checked('sendmsg', libc.sendmsg(socketFd, header, MSG_DONTWAIT | MSG_NOSIGNAL), where);
  if (sent === payload.length) return;
  throw new VmferryError('system-call-failed', `sendmsg of ${where} took ${sent} of ${payload.length} bytes; close the socket.`, {
    data: { call: 'sendmsg', errno: 0, name: 'SHORT-SEND', sent, wanted: payload.length },
  });
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
