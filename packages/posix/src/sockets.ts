import { VmferryError } from '@vmferry/errors';
import { errnoName, systemCallError } from './errno.js';
import { checked, lastErrno, libc } from './libc.js';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2_000_000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_SNDBUF = 7;
const SO_LINGER = 13;
const SO_PEERCRED = 17;
const SO_SNDBUFFORCE = 32;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_INFO = 11;
const TCP_CONGESTION = 13;
const TCP_NOTSENT_LOWAT = 25;
/** The index of tcpi_last_data_recv in struct tcp_info, in 32-bit words: 8 bytes of small fields, then 11 words before it. */
const TCPI_LAST_DATA_RECV_WORD = 13;
/** The same of tcpi_min_rtt: 24 words more, four counts of 64 bits and three of 32. */
const TCPI_MIN_RTT_WORD = 37;
/** The kernel's TCP_CA_NAME_MAX. */
const congestionControlBytesMax = 16;
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
  setTcpOption(fd, 'TCP_NODELAY', TCP_NODELAY, 1);
}

/**
 * How many bytes a TCP socket takes before it has sent them (TCP_NOTSENT_LOWAT); what is on its way counts for nothing, so a long way stays as fast. Any
 * other socket sends at once anyway.
 */
export function limitUnsent(fd: number, bytes: number): void {
  setTcpOption(fd, 'TCP_NOTSENT_LOWAT', TCP_NOTSENT_LOWAT, bytes);
}

/** A socket of another family does not know the option and is left alone. */
function setTcpOption(fd: number, name: string, option: number, value: number): void {
  const wanted = new Int32Array([value]);
  if (libc.setsockopt(fd, IPPROTO_TCP, option, wanted, wanted.byteLength) !== -1) return;
  const errno = lastErrno();
  if (errnoName(errno) !== 'EOPNOTSUPP') throw systemCallError(`setsockopt ${name}`, errno, `socket ${fd}`);
}

/**
 * How many bytes may wait in a socket for whoever reads at its other end. The kernel takes twice the number and counts its own records too, so of large
 * writes nearly twice as much fits. A user who is not root gets at most what `net.core.wmem_max` says.
 */
export function setSendBuffer(fd: number, bytes: number): void {
  const wanted = new Int32Array([bytes]);
  if (libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, wanted, wanted.byteLength) !== -1) return;
  checked('setsockopt SO_SNDBUF', libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, wanted, wanted.byteLength), `socket ${fd}`);
}

/** By which of the kernel's algorithms a TCP socket decides when to send: `cubic`, `bbr` and so on. */
export function congestionControl(fd: number): string {
  const name = new Int32Array(congestionControlBytesMax / Int32Array.BYTES_PER_ELEMENT);
  checked(
    'getsockopt TCP_CONGESTION',
    libc.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, new Uint32Array([name.byteLength])),
    `socket ${fd}`,
  );
  const text = Buffer.from(name.buffer).toString('latin1');
  return text.slice(0, text.indexOf('\0'));
}

/** Chooses it. Every user may take `reno`; others only root, or where `net.ipv4.tcp_allowed_congestion_control` names them. */
export function setCongestionControl(fd: number, name: string): void {
  const bytes = Buffer.alloc(congestionControlBytesMax);
  bytes.write(name, 'latin1');
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / Int32Array.BYTES_PER_ELEMENT);
  checked(
    'setsockopt TCP_CONGESTION',
    libc.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, words, Buffer.byteLength(name)),
    `socket ${fd} to ${name}`,
  );
}

/** The shortest round trip of a TCP connection so far, in microseconds: what the network alone takes, from the handshake on. */
export function tcpRoundTripMicros(fd: number): number {
  return tcpInfo(fd, TCPI_MIN_RTT_WORD);
}

/** How long nothing has come over a TCP connection, in milliseconds, as the kernel counts it; whoever reads the bytes does not matter. */
export function tcpSilentMs(fd: number): number {
  return tcpInfo(fd, TCPI_LAST_DATA_RECV_WORD);
}

function tcpInfo(fd: number, word: number): number {
  const info = new Int32Array(word + 1);
  checked(
    'getsockopt TCP_INFO',
    libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, new Uint32Array([info.byteLength])),
    `socket ${fd}`,
  );
  return info[word] ?? 0;
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
