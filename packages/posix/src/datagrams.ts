import { closeFd } from './descriptors.js';
import { checked, libc } from './libc.js';
import { checkUnixSocketPath } from './sockets.js';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2_000_000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/** A unix datagram socket that is connected to `path`, close-on-exec; Node has streams only. Throws `system-call-failed`. */
export function connectDatagram(path: string): number {
  checkUnixSocketPath(path);
  const fd = checked('socket', libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'a new datagram socket');
  const name = Buffer.from(`${path}\0`);
  // struct sockaddr_un: u16 family, then the path.
  const address = new Uint8Array(2 + name.length);
  new Uint16Array(address.buffer, 0, 1)[0] = AF_UNIX;
  address.set(name, 2);
  try {
    checked('connect', libc.connect(fd, address, address.length), path);
  } catch (thrown) {
    closeFd(fd);
    throw thrown;
  }
  return fd;
}

/** Sends one datagram whole, or not at all: it does not wait for a reader that is slow (EAGAIN). Throws `system-call-failed`. */
export function sendDatagram(fd: number, payload: Uint8Array): void {
  checked('send', libc.send(fd, payload, payload.length, MSG_DONTWAIT | MSG_NOSIGNAL), `a datagram of socket ${fd}`);
}
