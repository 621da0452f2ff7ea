import koffi from 'koffi';
import { systemCallError } from './errno.js';

/**
 * The functions of libc that Node lacks, with their C types. koffi has no `ssize_t`; `intptr_t` has the same width. Types are
 * left unnamed: a name may be given once per thread only, and a test runner may load this file twice.
 */
const library = koffi.load(null);

const iovec = koffi.struct({ iov_base: 'void *', iov_len: 'size_t' });
const msghdr = koffi.struct({
  msg_name: 'void *',
  msg_namelen: 'uint32_t',
  msg_iov: koffi.pointer(iovec),
  msg_iovlen: 'size_t',
  msg_control: 'void *',
  msg_controllen: 'size_t',
  msg_flags: 'int',
});

interface MessageHeader {
  readonly msg_name: null;
  readonly msg_namelen: number;
  readonly msg_iov: readonly { readonly iov_base: Uint8Array; readonly iov_len: number }[];
  readonly msg_iovlen: number;
  readonly msg_control: Uint8Array;
  readonly msg_controllen: number;
  readonly msg_flags: number;
}

interface Libc {
  pipe2(fds: Int32Array, flags: number): number;
  socketpair(family: number, type: number, protocol: number, fds: Int32Array): number;
  socket(family: number, type: number, protocol: number): number;
  connect(fd: number, address: Uint8Array, bytes: number): number;
  send(fd: number, payload: Uint8Array, bytes: number, flags: number): number;
  recv(fd: number, payload: Uint8Array, bytes: number, flags: number): number;
  close(fd: number): number;
  fcntl(fd: number, command: number, type: 'int', value: number): number;
  ioctl(fd: number, request: number, type: 'void *', value: Buffer): number;
  setns(fd: number, type: number): number;
  shutdown(fd: number, how: number): number;
  setsockopt(fd: number, level: number, option: number, value: Int32Array, bytes: number): number;
  getsockopt(fd: number, level: number, option: number, value: Int32Array, bytes: Uint32Array): number;
  sendmsg(fd: number, message: MessageHeader, flags: number): number;
  /** What the pointers of `message` lead to is written; the lengths in it are not. */
  recvmsg(fd: number, message: MessageHeader, flags: number): number;
  dup3(fd: number, as: number, flags: number): number;
  flock(fd: number, operation: number): number;
  fchownat(folderFd: number, path: string, uid: number, gid: number, flags: number): number;
  /** What is read goes into `value`; the size alone is the answer when `bytes` is 0. */
  fgetxattr(fd: number, name: string, value: Uint8Array, bytes: number): number;
  fsetxattr(fd: number, name: string, value: Uint8Array, bytes: number, flags: number): number;
  fremovexattr(fd: number, name: string): number;
  splice(fdIn: number, offsetIn: null, fdOut: number, offsetOut: null, bytes: number, flags: number): number;
  poll(fds: Buffer, count: number, timeoutMs: number): number;
  eventfd(initial: number, flags: number): number;
  pidfdOpen(call: number, pid: number, flags: number): number;
  pidfdGetfd(call: number, pidfd: number, fd: number, flags: number): number;
  pidfdSendSignal(call: number, pidfd: number, signal: number, info: null, flags: number): number;
}

export const libc: Libc = {
  pipe2: library.func('pipe2', 'int', ['int *', 'int']),
  socketpair: library.func('socketpair', 'int', ['int', 'int', 'int', 'int *']),
  socket: library.func('socket', 'int', ['int', 'int', 'int']),
  connect: library.func('connect', 'int', ['int', 'void *', 'uint32_t']),
  send: library.func('send', 'intptr_t', ['int', 'void *', 'size_t', 'int']),
  recv: library.func('recv', 'intptr_t', ['int', 'void *', 'size_t', 'int']),
  close: library.func('close', 'int', ['int']),
  fcntl: library.func('int fcntl(int fd, int command, ...)'),
  ioctl: library.func('int ioctl(int fd, ulong request, ...)'),
  setns: library.func('setns', 'int', ['int', 'int']),
  shutdown: library.func('shutdown', 'int', ['int', 'int']),
  setsockopt: library.func('setsockopt', 'int', ['int', 'int', 'int', 'void *', 'uint32_t']),
  getsockopt: library.func('getsockopt', 'int', ['int', 'int', 'int', 'void *', 'void *']),
  sendmsg: library.func('sendmsg', 'intptr_t', ['int', koffi.pointer(msghdr), 'int']),
  recvmsg: library.func('recvmsg', 'intptr_t', ['int', koffi.pointer(msghdr), 'int']),
  dup3: library.func('dup3', 'int', ['int', 'int', 'int']),
  flock: library.func('flock', 'int', ['int', 'int']),
  fchownat: library.func('fchownat', 'int', ['int', 'str', 'uint32_t', 'uint32_t', 'int']),
  fgetxattr: library.func('fgetxattr', 'intptr_t', ['int', 'str', 'void *', 'size_t']),
  fsetxattr: library.func('fsetxattr', 'int', ['int', 'str', 'void *', 'size_t', 'int']),
  fremovexattr: library.func('fremovexattr', 'int', ['int', 'str']),
  splice: library.func('splice', 'intptr_t', ['int', 'void *', 'int', 'void *', 'size_t', 'uint']),
  poll: library.func('poll', 'int', ['void *', 'ulong', 'int']),
  eventfd: library.func('eventfd', 'int', ['uint', 'int']),
  pidfdOpen: library.func('syscall', 'long', ['long', 'int', 'uint']),
  pidfdGetfd: library.func('syscall', 'long', ['long', 'int', 'int', 'uint']),
  pidfdSendSignal: library.func('syscall', 'long', ['long', 'int', 'int', 'void *', 'uint']),
};

/**
 * errno of the last call of this thread. It must be read before anything else runs: the engine itself makes system calls.
 */
export function lastErrno(): number {
  return koffi.errno();
}

/** The result of a call, or its errno as an error. `where` is what the call was about. */
export function checked(call: string, result: number, where: string): number {
  if (result !== -1) return result;
  throw systemCallError(call, lastErrno(), where);
}
