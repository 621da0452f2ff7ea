import type { Stats } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { dirname, isAbsolute, normalize } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import type { Owner } from '@vmferry/posix';

const READ = 4;
const WRITE = 2;
const SEARCH = 1;

/**
 * Whether `user`, without any further groups, may do this with the path, by the mode bits (access control lists are not looked at). Throws
 * `label-failed` naming the first folder or file that is in the way.
 */
export async function checkReach(
  path: string,
  user: Owner,
  need: 'read' | 'read-secret' | 'label' | 'create' | 'connect',
): Promise<void> {
  if (!isAbsolute(path) || normalize(path) !== path)
    throw failed(path, 'is not an absolute path without "." and ".."', 'Give the full path.');
  for (const folder of foldersAbove(path)) {
    const stats = await look(folder, stat);
    if (!permits(stats, user, SEARCH))
      throw failed(
        path,
        `cannot be reached: ${who(user)} may not search ${folder}`,
        `Run "chmod o+x ${folder}", or place the file elsewhere.`,
      );
  }
  switch (need) {
    case 'read':
      if (!permits(await look(path, stat), user, READ))
        throw failed(path, `cannot be read by ${who(user)}`, `Run "chmod o+r ${path}".`);
      return;
    case 'read-secret':
      if (!permits(await look(path, stat), user, READ))
        throw failed(path, `cannot be read by ${who(user)}`, `Run "chgrp ${user.gid} ${path}" and "chmod 0640 ${path}".`);
      return;
    case 'connect':
      if (!permits(await look(path, stat), user, WRITE))
        throw failed(path, `cannot be connected to by ${who(user)}`, `Run "chmod o+w ${path}".`);
      return;
    case 'create':
      return checkCreate(path, user);
    case 'label':
      await look(path, lstat);
      return;
    default:
      return need satisfies never;
  }
}

async function checkCreate(path: string, user: Owner): Promise<void> {
  const present = await lstat(path).catch(() => null);
  if (present?.isFile() === true) {
    if (!permits(present, user, WRITE))
      throw failed(path, `cannot be written by ${who(user)}`, `Run "chown ${user.uid} ${path}".`);
    return;
  }
  const folder = dirname(path);
  if (permits(await look(folder, stat), user, WRITE)) return;
  throw failed(
    path,
    `cannot be made: ${who(user)} may not write in ${folder}`,
    `Run "chown ${user.uid} ${folder}", or place the file elsewhere.`,
  );
}

function foldersAbove(path: string): string[] {
  const folder = dirname(path);
  return folder === path ? [] : [...foldersAbove(folder), folder];
}

function permits({ uid, gid, mode }: Stats, user: Owner, bit: number): boolean {
  if (user.uid === 0) return true;
  const shift = uid === user.uid ? 6 : gid === user.gid ? 3 : 0;
  return ((mode >> shift) & bit) !== 0;
}

async function look(path: string, how: (path: string) => Promise<Stats>): Promise<Stats> {
  try {
    return await how(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new VmferryError('label-failed', `${path} cannot be looked at (${reason}).`, { cause: error, data: { path } });
  }
}

function who({ uid, gid }: Owner): string {
  return `the QEMU user (uid ${uid}, gid ${gid})`;
}

function failed(path: string, why: string, remedy: string): VmferryError {
  return new VmferryError('label-failed', `${path} ${why}. ${remedy}`, { data: { path } });
}
