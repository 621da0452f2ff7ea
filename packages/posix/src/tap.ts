import { constants } from 'node:fs';
import { closeFd, openFile } from './descriptors.js';
import { errnoName, systemCallError } from './errno.js';
import { checked, lastErrno, libc } from './libc.js';

/** Where the kernel makes tap devices. */
export const tunDevice = '/dev/net/tun';

const TUNSETIFF = 0x4004_54ca;
const TUNGETIFF = 0x8004_54d2;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const IFF_TUN_EXCL = 0x8000;
const CLONE_NEWNET = 0x4000_0000;
const ifreqBytes = 40;
const nameBytes = 16;

/**
 * Opens a tap device as QEMU wants it: Ethernet frames behind a virtio header, no packet information. `make`: one of this name must not be there
 * yet, and it is gone with the last descriptor of it. `take`: one that is there and was made to stay is opened, else one is made. Throws
 * `system-call-failed`: EPERM without CAP_NET_ADMIN, for a device that is not this user's; EBUSY when the name is taken, or the device is in use.
 */
export function openTap(name: string, how: 'make' | 'take'): number {
  const fd = openFile(tunDevice, constants.O_RDWR, 0);
  try {
    const flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (how === 'make' ? IFF_TUN_EXCL : 0);
    checked('ioctl TUNSETIFF', libc.ioctl(fd, TUNSETIFF, 'void *', interfaceRequest(name, flags)), `tap device ${name}`);
    return fd;
  } catch (thrown) {
    closeFd(fd);
    throw thrown;
  }
}

/** The name of the device behind a descriptor of a tap or macvtap; null when it is neither. */
export function tapName(fd: number): string | null {
  const request = interfaceRequest('', 0);
  if (libc.ioctl(fd, TUNGETIFF, 'void *', request) !== -1) return request.toString('latin1', 0, request.indexOf(0));
  const errno = lastErrno();
  if (['ENOTTY', 'EINVAL', 'EBADFD'].includes(errnoName(errno))) return null;
  throw systemCallError('ioctl TUNGETIFF', errno, `descriptor ${fd}`);
}

/** struct ifreq: the name, NUL-terminated, then the flags. */
function interfaceRequest(name: string, flags: number): Buffer {
  const request = Buffer.alloc(ifreqBytes);
  request.write(name, 0, nameBytes - 1, 'latin1');
  request.writeUInt16LE(flags, nameBytes);
  return request;
}

/**
 * Moves the calling thread, and the processes that it starts from now on, into the network namespace that this file stands for, as
 * `ip netns add` makes one below /run/netns. There is no way back but through a file of the old one.
 */
export function enterNetworkNamespace(path: string): void {
  const fd = openFile(path, constants.O_RDONLY, 0);
  try {
    checked('setns', libc.setns(fd, CLONE_NEWNET), path);
  } finally {
    closeFd(fd);
  }
}
