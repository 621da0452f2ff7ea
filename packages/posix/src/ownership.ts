import { constants, fstatSync } from 'node:fs';
import { VmferryError } from '@vmferry/errors';
import { closeFd, openFile } from './descriptors.js';
import { labelRefusal, O_PATH, withLabelable } from './labelable.js';
import { checked, libc } from './libc.js';

const AT_EMPTY_PATH = 0x1000;
const idMax = 0xffff_fffe;

/** Numeric ids, each 0 to 4,294,967,294 (the one above means "leave it" to the kernel and is refused). */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Changes the owner of a regular file or block device and returns the owner it had, all through one descriptor (`withLabelable`). With `from` the
 * owner is changed only when it is that one.
 */
export function chownByDescriptor(path: string, owner: Owner, o: { readonly from?: Owner } = {}): Owner {
  checkId(owner.uid, 'uid');
  checkId(owner.gid, 'gid');
  return withLabelable(path, (fd, { uid, gid }) => {
    if (o.from === undefined || (o.from.uid === uid && o.from.gid === gid))
      checked('fchownat', libc.fchownat(fd, '', owner.uid, owner.gid, AT_EMPTY_PATH), path);
    return { uid, gid };
  });
}

/**
 * The same for a unix socket that this process has bound, which then only its new owner (and root) connects to. What else stands at the path, as
 * when whoever may write in the folder has exchanged it, is refused with `label-failed`.
 */
export function giveSocket(path: string, owner: Owner): void {
  const fd = openFile(path, O_PATH | constants.O_NOFOLLOW, 0);
  try {
    const stats = fstatSync(fd);
    if (!stats.isSocket() || stats.uid !== process.geteuid?.() || stats.nlink !== 1)
      throw labelRefusal(path, 'is not the socket that was made here');
    checked('fchownat', libc.fchownat(fd, '', owner.uid, owner.gid, AT_EMPTY_PATH), path);
  } finally {
    closeFd(fd);
  }
}

function checkId(id: number, what: string): void {
  if (Number.isInteger(id) && id >= 0 && id <= idMax) return;
  throw new VmferryError('invalid-argument', `The ${what} ${id} is not a whole number from 0 to ${idMax}.`);
}
