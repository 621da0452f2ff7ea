import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fromNodeError, isErrno } from './errno.js';

/** What /proc tells of one process. Of another user's process, root alone is told: EACCES otherwise. Null when there is no such process. */

const capNetAdmin = 1n << 12n;

/** The path of the program that it executes, as the kernel has resolved it. */
export function processExecutable(pid: number): string | null {
  return ifThere(`/proc/${pid}/exe`, (path) => readlinkSync(path));
}

/** What it has in memory now, in KiB; null also for a zombie, which has none. */
export function residentKib(pid: number): number | null {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readProc(`/proc/${pid}/status`) ?? '');
  return line === null ? null : Number(line[1]);
}

/** The paths of its open files on which it holds a lock of an open file description, the kind with which QEMU locks images. */
export function lockedFiles(pid: number): readonly string[] | null {
  const fds = ifThere(`/proc/${pid}/fd`, (path) => readdirSync(path));
  if (fds === null) return null;
  const locked = fds.filter((fd) => /^lock:.*\bOFDLCK\b/m.test(readProc(`/proc/${pid}/fdinfo/${fd}`) ?? ''));
  const paths = locked.map((fd) => ifThere(`/proc/${pid}/fd/${fd}`, (path) => readlinkSync(path)));
  return paths.filter((path) => path !== null);
}

/** How many files, sockets among them, this process may have open. */
export function openFilesMax(): number {
  const line = /^Max open files\s+(\d+|unlimited)/m.exec(readProc('/proc/self/limits') ?? '');
  return line === null || line[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(line[1]);
}

/** Whether this process may administer network devices (CAP_NET_ADMIN). */
export function mayAdministerNetwork(): boolean {
  const [, effective = '0'] = /^CapEff:\s+([0-9a-f]+)$/m.exec(readProc('/proc/self/status') ?? '') ?? [];
  return (BigInt(`0x${effective}`) & capNetAdmin) !== 0n;
}

export function readProc(path: string): string | null {
  return ifThere(path, (file) => readFileSync(file, 'utf8'));
}

/** What is read there; null when there is no such path, or no such process any more. */
export function ifThere<T>(path: string, read: (path: string) => T): T | null {
  try {
    return read(path);
  } catch (thrown) {
    const error = fromNodeError(thrown, path);
    // ESRCH comes when the process ends between the open and the read.
    if (isErrno(error, 'ENOENT', 'ESRCH')) return null;
    throw error;
  }
}
