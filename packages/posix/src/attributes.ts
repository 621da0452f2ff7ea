import { errnoName, systemCallError } from './errno.js';
import { checked, lastErrno, libc } from './libc.js';

/** What Linux lets one attribute hold (XATTR_SIZE_MAX). */
const bytesMax = 65_536;

/** The extended attribute of an open file; null when it has none of this name. Not by a descriptor of O_PATH. */
export function getAttribute(fd: number, name: string): Uint8Array | null {
  const value = new Uint8Array(bytesMax);
  const bytes = libc.fgetxattr(fd, name, value, bytesMax);
  if (bytes !== -1) return value.slice(0, bytes);
  return noneOr('fgetxattr', name, fd);
}

export function setAttribute(fd: number, name: string, value: Uint8Array): void {
  checked('fsetxattr', libc.fsetxattr(fd, name, value, value.length, 0), `${name} of descriptor ${fd}`);
}

/** One that is not there is no error. */
export function removeAttribute(fd: number, name: string): void {
  if (libc.fremovexattr(fd, name) === -1) noneOr('fremovexattr', name, fd);
}

/** Null for an attribute that is not there; any other errno of the last call is thrown. */
function noneOr(call: string, name: string, fd: number): null {
  const errno = lastErrno();
  if (errnoName(errno) === 'ENODATA') return null;
  throw systemCallError(call, errno, `${name} of descriptor ${fd}`);
}
