import { constants, fstatSync, lstatSync, type Stats } from 'node:fs';
import { VmferryError } from '@vmferry/errors';
import { closeFd, openFile } from './descriptors.js';

export const O_PATH = 0o10_000_000;

/**
 * Does `act` with a regular file or block device. It is opened once without following a link (O_PATH, so no device is touched and no read right
 * is needed), looked at, and whatever is changed is changed through that descriptor: a file that is swapped in between is never changed (threats,
 * row 3). A symbolic link, any other kind of file and a regular file with a second name are refused with `label-failed`. Links in the folders above
 * are followed: keep those out of reach of others.
 */
export function withLabelable<T>(path: string, act: (fd: number, stats: Stats) => T): T {
  const fd = openFile(path, O_PATH | constants.O_NOFOLLOW, 0);
  try {
    refuseUnlessLabelable(path, fstatSync(fd));
    refuseUnlessNamed(path, fd);
    // The last look before the change is the one that is told.
    const stats = fstatSync(fd);
    refuseUnlessLabelable(path, stats);
    return act(fd, stats);
  } finally {
    closeFd(fd);
  }
}

/** The same with a descriptor that one can read by, as extended attributes need; it is opened through the first, and so is that very file. */
export function withReadable<T>(path: string, act: (fd: number) => T): T {
  return withLabelable(path, (fd) => {
    const readable = openFile(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK, 0);
    try {
      return act(readable);
    } finally {
      closeFd(readable);
    }
  });
}

function refuseUnlessLabelable(path: string, stats: Stats): void {
  if (stats.isSymbolicLink()) throw labelRefusal(path, 'is a symbolic link; give the path it points to');
  if (!stats.isFile() && !stats.isBlockDevice()) throw labelRefusal(path, 'is neither a regular file nor a block device');
  if (stats.isFile() && stats.nlink !== 1)
    throw labelRefusal(path, `has ${stats.nlink} names; a file with a second name may be any file`);
}

/**
 * A second name that was taken away after the open leaves a file with one name, which is somebody else's: so it is asked between two looks whether the path
 * is a name of it still.
 */
function refuseUnlessNamed(path: string, fd: number): void {
  const [opened, named] = [fstatSync(fd), lstatSync(path, { throwIfNoEntry: false })];
  if (named?.dev !== opened.dev || named.ino !== opened.ino) throw labelRefusal(path, 'was exchanged for another file meanwhile');
}

export function labelRefusal(path: string, why: string): VmferryError {
  return new VmferryError('label-failed', `The label or owner of ${path} is not changed: it ${why}.`, { data: { path } });
}
