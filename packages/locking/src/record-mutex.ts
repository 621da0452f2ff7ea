import { constants } from 'node:fs';
import { VmferryError } from '@vmferry/errors';
import { closeFd, flockExclusive, openFile } from '@vmferry/posix';
import { type Clock, sleep } from '@vmferry/seams';

const RETRY_MS = 2;
/** A record update takes milliseconds; a holder that takes this long is frozen or its disk is. */
const WAIT_MS = 5_000;

/**
 * Does `act` while no other process updates these records. The locks are flocks of their own files, taken in one order by everybody, never
 * inherited, and freed by the kernel when the process dies. Throws `lease-unavailable` after 5 s.
 */
export async function withRecordLocks<R>(paths: readonly string[], clock: Clock, act: () => Promise<R>): Promise<R> {
  const held: number[] = [];
  try {
    const deadlineMs = clock.monotonicMs() + WAIT_MS;
    for (const path of [...new Set(paths)].sort()) held.push(await takeLock(path, clock, deadlineMs));
    return await act();
  } finally {
    for (const fd of held) closeFd(fd);
  }
}

async function takeLock(path: string, clock: Clock, deadlineMs: number): Promise<number> {
  const fd = openLockFile(path);
  try {
    while (!flockExclusive(fd)) {
      if (clock.monotonicMs() >= deadlineMs) {
        const detail = `Another process has held ${path} for ${WAIT_MS / 1000} s; is it frozen?`;
        throw new VmferryError('lease-unavailable', detail, { data: { path } });
      }
      await sleep(clock, RETRY_MS);
    }
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** Opens or makes a lock file; throws `lease-unavailable`. */
export function openLockFile(path: string): number {
  try {
    return openFile(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  } catch (error) {
    throw new VmferryError('lease-unavailable', `The lock file ${path} cannot be opened.`, { cause: error, data: { path } });
  }
}
