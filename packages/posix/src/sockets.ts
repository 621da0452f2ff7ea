import { VmferryError } from '@vmferry/errors';
import { errnoName, systemCallError } from './errno.js';
import { checked, lastErrno, libc } from './libc.js';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2_000_000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_LINGER = 13;
const SO_PEERCRED = 17;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_INFO = 11;
/** The index of tcpi_last_data_recv in struct tcp_info, in 32-bit words: 8 bytes of small fields, then 11 words before it. */
const TCPI_LAST_DATA_RECV_WORD = 13;
const shutdownHow = { read: 0, write: 1, both: 2 } as const;

/** sun_path has 108 bytes and its last one must be a NUL. Node 20 cuts a longer path silently and listens elsewhere. */
export const unixSocketPathBytesMax = 107;

/** Two connected AF_UNIX stream sockets, close-on-exec, blocking. */
export function socketpair(): [number, number] {
  const fds = new Int32Array(2);
  checked('socketpair', libc.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 'a new pair of sockets');
  const [one = -1, other = -1] = fds;
  return [one, other];
}

/** Works on the connection, not on the descriptor: it frees every thread that is blocked on it. */
export function shutdownFd(fd: number, how: keyof typeof shutdownHow): void {
  checked('shutdown', libc.shutdown(fd, shutdownHow[how]), `socket ${fd}`);
}

/**
 * With `on`, the last close of a TCP socket, also the one that the kernel does for a killed process, is a reset: the peer
 * reads ECONNRESET instead of an end that looks clean. `shutdownFd` is not affected. A unix socket takes the option and ignores
 * it: its peer sees a reset only when bytes of its own were left unread.
 */
export function resetOnClose(fd: number, on: boolean): void {
  const linger = new Int32Array([on ? 1 : 0, 0]);
  checked('setsockopt SO_LINGER', libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, linger, linger.byteLength), `socket ${fd}`);
}

/** Switches off the waiting for more (Nagle) on a TCP socket; any other socket sends at once anyway. */
export function sendWithoutDelay(fd: number): void {
  const on = new Int32Array([1]);
  if (libc.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, on, on.byteLength) !== -1) return;
  const errno = lastErrno();
  if (errnoName(errno) !== 'EOPNOTSUPP') throw systemCallError('setsockopt TCP_NODELAY', errno, `socket ${fd}`);
}

/** How long nothing has come over a TCP connection, in milliseconds, as the kernel counts it; whoever reads the bytes does not matter. */
export function tcpSilentMs(fd: number): number {
  const info = new Int32Array(TCPI_LAST_DATA_RECV_WORD + 1);
  checked(
    'getsockopt TCP_INFO',
    libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, new Uint32Array([info.byteLength])),
    `socket ${fd}`,
  );
  return info[TCPI_LAST_DATA_RECV_WORD] ?? 0;
}

/** The process that listened on the unix socket which `fd` has connected to, by the kernel's word; later owners of the socket do not change it. */
export function listenerPid(fd: number): number {
  const credentials = new Int32Array(3);
  checked(
    'getsockopt SO_PEERCRED',
    libc.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, new Uint32Array([credentials.byteLength])),
    `socket ${fd}`,
  );
  return credentials[0] ?? 0;
}

/** The pending errno of a socket, 0 when there is none. Reading it clears it. */
export function takeSocketError(fd: number): number {
  const value = new Int32Array(1);
  checked(
    'getsockopt SO_ERROR',
    libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, value, new Uint32Array([value.byteLength])),
    `socket ${fd}`,
  );
  return value[0] ?? 0;
}

/** Throws `invalid-argument` for a path that the kernel cannot hold whole. */
export function checkUnixSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes === 0 || path.includes('\0')) {
    throw new VmferryError('invalid-argument', 'The path of a unix socket is empty or holds a NUL; give a plain path.');
  }
  if (bytes <= unixSocketPathBytesMax) return;
  throw new VmferryError(
    'invalid-argument',
    `The unix socket path ${path} has ${bytes} bytes and ${unixSocketPathBytesMax} is the most the kernel takes; choose a shorter runtime directory.`,
    { data: { path, bytes, bytesMax: unixSocketPathBytesMax } },
  );
}
