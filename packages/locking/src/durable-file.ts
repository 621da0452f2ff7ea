import { closeSync, fsync, openSync, renameSync, writeFileSync } from 'node:fs';
import { link, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { VmferryError } from '@vmferry/errors';
import type { FaultPoints } from '@vmferry/seams';

/**
 * Replaces the file at `path` so that a reader, also after a crash or a power cut, sees the old text or the new one and nothing
 * else (DESIGN, "On disk"): temporary file beside it, fsync, rename, fsync of the folder. The mode is 0600.
 *
 * `writer` names the temporary file; two writers of one path must differ in it, unless a lock keeps them apart.
 * Throws `state-unwritable`. When only the last fsync failed the new text is in place but may not survive a power cut, so after an
 * error the caller must take either text as possible.
 */
export function writeDurably(path: string, text: string, writer: string, faults: FaultPoints): Promise<void> {
  return publish(path, text, writer, faults, (temporary) => renameSync(temporary, path));
}

/** The same, unless there is a file at `path` already: then that stays as it is, whoever made it and when. Throws `state-unwritable`. */
export function createDurably(path: string, text: string, writer: string, faults: FaultPoints): Promise<void> {
  return publish(path, text, writer, faults, async (temporary) => {
    await link(temporary, path).catch((error: unknown) => {
      if (!hasCode(error, 'EEXIST')) throw error;
    });
    await rm(temporary);
  });
}

async function publish(
  path: string,
  text: string,
  writer: string,
  faults: FaultPoints,
  show: (temporary: string) => Promise<void> | void,
): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, temporaryName(basename(path), writer));
  try {
    await faults('state.write');
    const file = openSync(temporary, 'w', 0o600);
    try {
      writeFileSync(file, text);
      await synced(file);
    } finally {
      closeSync(file);
    }
    await faults('state.rename');
    await show(temporary);
    await faults('state.sync');
    await syncFolder(folder);
  } catch (error) {
    // A failed clean-up must not hide why the write failed; the owner of the folder sweeps what is left.
    await rm(temporary, { force: true }).catch(() => undefined);
    throw unwritable(path, error);
  }
}

/** The name of the temporary file of `name`. The leading dot keeps it apart from every document. */
function temporaryName(name: string, writer: string): string {
  return `.${name}.${writer}.tmp`;
}

/** Removes what writers that have ended have left half-written in `folder`; `pidOf` tells a writer's process, null when it is none of ours. */
export async function sweepTemporaries(folder: string, pidOf: (writer: string) => number | null): Promise<void> {
  // A folder that another process has removed meanwhile holds nothing.
  const entries = await readdir(folder).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return [];
    throw error;
  });
  for (const entry of entries) {
    const writer = writerOfTemporary(entry);
    const pid = writer === null ? null : pidOf(writer);
    if (pid !== null && !isRunning(pid)) await rm(join(folder, entry), { force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Of another user is a process, too.
    return !hasCode(error, 'ESRCH');
  }
}

const hasCode = (error: unknown, code: string): boolean => error instanceof Error && 'code' in error && error.code === code;

/** The writer of a temporary file, or null when `name` is not the name of one. */
function writerOfTemporary(name: string): string | null {
  return /^\..+\.([A-Za-z0-9-]+)\.tmp$/.exec(name)?.[1] ?? null;
}

/** Makes the names in `folder` (what was created, renamed or removed there) survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = openSync(folder, 'r');
  try {
    await synced(handle);
  } finally {
    closeSync(handle);
  }
}

/**
 * The disk is waited for on another thread; what goes to the page cache is done at once. Each call handed to a thread costs a guest
 * that stands still part of a millisecond, and several when the host is busy: two of them here instead of eight.
 */
const synced = promisify(fsync);

/** Removes `path` durably; a file that is not there is no error. Throws `state-unwritable`. */
export async function removeDurably(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
    await syncFolder(dirname(path));
  } catch (error) {
    throw unwritable(path, error);
  }
}

function unwritable(path: string, error: unknown): VmferryError {
  const reason = error instanceof Error ? error.message : String(error);
  const errno = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  return new VmferryError(
    'state-unwritable',
    `${path} cannot be written (${reason}). Free space or mend the folder, then try again.`,
    {
      cause: error,
      data: { path, errno },
    },
  );
}
