import { constants, fstatSync, type Stats } from 'node:fs';
import { VmferryError } from '@vmferry/errors';
import { closeFd, openFile } from './descriptors.js';
import { checked, libc } from './libc.js';

const O_PATH = 0o10_000_000;
const AT_EMPTY_PATH = 0x1000;
const idMax = 0xffff_fffe;

/** Numeric ids, each 0 to 4,294,967,294 (the one above means "leave it" to the kernel and is refused). */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Changes the owner of a regular file or block device and returns the owner it had. The file is opened once without following a
 * link (O_PATH, so no device is touched and no read right is needed), looked at, and changed through that descriptor: a file
 * that is swapped in between is never changed (threats, row 3). A symbolic link, any other kind of file and a regular file
 * with a second name are refused with `label-failed`. Links in the folders above are followed: keep those out of reach of others.
 */
export function chownByDescriptor(path: string, owner: Owner): Owner {
  checkId(owner.uid, 'uid');
  checkId(owner.gid, 'gid');
  const fd = openFile(path, O_PATH | constants.O_NOFOLLOW, 0);
  try {
    const stats = fstatSync(fd);
    refuseUnlessLabelable(path, stats);
    checked('fchownat', libc.fchownat(fd, '', owner.uid, owner.gid, AT_EMPTY_PATH), path);
    return { uid: stats.uid, gid: stats.gid };
  } finally {
    closeFd(fd);
  }
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
      throw refusal(path, 'is not the socket that was made here');
    checked('fchownat', libc.fchownat(fd, '', owner.uid, owner.gid, AT_EMPTY_PATH), path);
  } finally {
    closeFd(fd);
  }
}

function checkId(id: number, what: string): void {
  if (Number.isInteger(id) && id >= 0 && id <= idMax) return;
  throw new VmferryError('invalid-argument', `The ${what} ${id} is not a whole number from 0 to ${idMax}.`);
}

function refuseUnlessLabelable(path: string, stats: Stats): void {
  if (stats.isSymbolicLink()) throw refusal(path, 'is a symbolic link; give the path it points to');
  if (!stats.isFile() && !stats.isBlockDevice()) throw refusal(path, 'is neither a regular file nor a block device');
  if (stats.isFile() && stats.nlink !== 1)
    throw refusal(path, `has ${stats.nlink} names; a file with a second name may be any file`);
}

function refusal(path: string, why: string): VmferryError {
  return new VmferryError('label-failed', `The owner of ${path} is not changed: it ${why}.`, { data: { path } });
}
