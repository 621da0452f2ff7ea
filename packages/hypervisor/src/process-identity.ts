import { VmferryError } from '@vmferry/errors';
import { bootId, closeFd, isErrno, pidfdOpen, pidfdSendSignal, processStartTime, waitPidfd } from '@vmferry/posix';

/** One process and no other: a pid is used again, a pid with its start time in one boot is not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat. */
  readonly startTimeTicks: string;
  readonly bootId: string;
}

/** The identity of a process that exists now; null when there is none with this pid. */
export function identityOf(pid: number): ProcessIdentity | null {
  const start = processStartTime(pid);
  return start === null ? null : { pid, startTimeTicks: start.startTimeTicks, bootId: bootId() };
}

/** True when this very process is still alive. A zombie has ended: it runs nothing and holds nothing. */
export function isSameProcess(identity: ProcessIdentity): boolean {
  if (bootId() !== identity.bootId) return false;
  const start = processStartTime(identity.pid);
  return start !== null && start.startTimeTicks === identity.startTimeTicks && start.state !== 'Z' && start.state !== 'X';
}

/** SIGKILL ends a process at once, unless the kernel itself waits, for a dead NFS server for example. */
export const killDeadlineMsDefault = 30_000;

/**
 * Kills this very process and resolves when its end is proven; one that is gone already is no error. The pidfd is opened before
 * the start time is compared, so that a signal never meets a process that has taken over the pid in between. Throws
 * `hypervisor-failed` when the end is not seen in time: then nothing is proven, and the guest may still run.
 */
export async function killProcess(identity: ProcessIdentity, o: { readonly deadlineMs?: number } = {}): Promise<void> {
  const { deadlineMs = killDeadlineMsDefault } = o;
  const ended = await withProcess(identity, async (pidfd) => {
    signalIfThere(pidfd);
    return await waitPidfd(pidfd, deadlineMs);
  });
  if (ended) return;
  throw new VmferryError(
    'hypervisor-failed',
    `QEMU (pid ${identity.pid}) has not ended ${deadlineMs} ms after SIGKILL; see its kernel stack.`,
    {
      data: { pid: identity.pid, deadlineMs },
    },
  );
}

/** True when this very process has ended, at the latest `timeoutMs` from now; false when it is alive then, or `signal` was aborted. */
export function waitForExit(identity: ProcessIdentity, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
  return withProcess(identity, (pidfd) => waitPidfd(pidfd, timeoutMs, signal));
}

/** Calls `act` with a pidfd of the process; true without it when the process is gone. */
async function withProcess(identity: ProcessIdentity, act: (pidfd: number) => Promise<boolean>): Promise<boolean> {
  if (bootId() !== identity.bootId) return true;
  const pidfd = openIfThere(identity.pid);
  if (pidfd === null) return true;
  try {
    const isIt = processStartTime(identity.pid)?.startTimeTicks === identity.startTimeTicks;
    return isIt ? await act(pidfd) : true;
  } finally {
    closeFd(pidfd);
  }
}

function openIfThere(pid: number): number | null {
  try {
    return pidfdOpen(pid);
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return null;
    throw error;
  }
}

function signalIfThere(pidfd: number): void {
  try {
    pidfdSendSignal(pidfd, 'SIGKILL');
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}
