import { ftruncateSync, readFileSync, writeSync } from 'node:fs';
import { VmferryError } from '@vmferry/errors';
import { bootId, closeFd, flockExclusive, processStartTime } from '@vmferry/posix';
import { openLockFile } from './record-mutex.js';

/**
 * The live lock of a guest on this host: an flock on a descriptor that its QEMU inherits. It outlives the agent and ends with
 * QEMU, so it says for certain whether a QEMU of this guest is still there. The file also names the process, for messages and to tell ours
 * from another.
 */
export interface LiveProcess {
  readonly pid: number;
  readonly startTimeTicks: string;
  readonly bootId: string;
}

/** Takes the lock; throws `lease-busy` when a process of this host has it. The caller closes the descriptor. */
export function takeLiveLock(path: string, vm: string): number {
  const fd = openLockFile(path);
  if (flockExclusive(fd)) return fd;
  closeFd(fd);
  const holder = namedProcess(path);
  const who = holder === null ? 'A process' : `Process ${holder.pid}`;
  throw new VmferryError('lease-busy', `${who} on this host still holds the live lock ${path} of guest ${vm}.`, {
    data: { resource: `vm:${vm}`, ...(holder === null ? {} : { pid: holder.pid }) },
  });
}

/** Whether any process holds the lock. Only under the mutex of the guest, for it takes the lock for a moment. */
export function isLive(path: string): boolean {
  const fd = openLockFile(path);
  try {
    return !flockExclusive(fd);
  } finally {
    closeFd(fd);
  }
}

/**
 * Notes whose lock it is. Written in place, for a rename would leave the lock on a file without a name; and without fsync, for after
 * a power cut there is no such process.
 */
export function nameProcess(path: string, pid: number): LiveProcess {
  const start = processStartTime(pid);
  if (start === null) throw new VmferryError('guest-gone', `There is no process ${pid} to register at ${path}.`);
  const process = { pid, startTimeTicks: start.startTimeTicks, bootId: bootId() };
  const fd = openLockFile(path);
  try {
    ftruncateSync(fd);
    writeSync(fd, `${JSON.stringify(process)}\n`, 0);
  } catch (error) {
    throw new VmferryError('lease-unavailable', `The live lock ${path} cannot be written.`, { cause: error, data: { path } });
  } finally {
    closeFd(fd);
  }
  return process;
}

/** The process that the file names; null when it names none, or was cut short by a crash. */
export function namedProcess(path: string): LiveProcess | null {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('startTimeTicks' in value) || !('bootId' in value))
      return null;
    const { pid, startTimeTicks, bootId: boot } = value;
    if (typeof pid !== 'number' || typeof startTimeTicks !== 'string' || typeof boot !== 'string') return null;
    return { pid, startTimeTicks, bootId: boot };
  } catch {
    return null;
  }
}
