import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import koffi from 'koffi';
import { closeFd, duplicateFd } from './descriptors.js';
import { checked, libc } from './libc.js';
import { readProc } from './proc.js';
import { poll, pollBits } from './splice.js';

const SYS_pidfd_send_signal = 424;
const SYS_pidfd_open = 434;

/**
 * A descriptor of the process that has this pid now; it never means another one. Verify with `processStartTime` *after* opening
 * it that it is the process you mean. ESRCH when there is none. A zombie can still be opened.
 */
export function pidfdOpen(pid: number): number {
  return checked('pidfd_open', libc.pidfdOpen(SYS_pidfd_open, pid, 0), `process ${pid}`);
}

/** ESRCH when the process has ended and was reaped. */
export function pidfdSendSignal(pidfd: number, signal: NodeJS.Signals): void {
  const number = constants.signals[signal];
  const where = `${signal} to process descriptor ${pidfd}`;
  checked('pidfd_send_signal', libc.pidfdSendSignal(SYS_pidfd_send_signal, pidfd, number, null, 0), where);
}

/**
 * Waits for the end of the process: true as soon as it has exited (reaped or not), false after `timeoutMs` or when `signal` is aborted. The event loop watches
 * the descriptor, so no thread is held and no pid is polled. A copy is watched: one descriptor can be watched once only.
 */
export function waitPidfd(pidfd: number, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
  if (signal?.aborted === true) return Promise.resolve(false);
  return new Promise((resolve) => {
    const copy = duplicateFd(pidfd);
    const giveUp = () => finish(false);
    const finish = (ended: boolean) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
      watch.close();
      closeFd(copy);
      resolve(ended);
    };
    const watch = koffi.node.poll(copy, { readable: true }, () => {
      // The event loop reports errors of the watch through the same callback; only a readable descriptor proves the end.
      if (((poll([{ fd: copy, events: pollBits.readable }], 0)[0] ?? 0) & pollBits.readable) !== 0) finish(true);
    });
    const timer = setTimeout(giveUp, timeoutMs);
    signal?.addEventListener('abort', giveUp, { once: true });
  });
}

/** What tells two processes with one pid apart: the start time in clock ticks since boot, with the state letter (Z: a zombie). */
export interface ProcessStart {
  readonly startTimeTicks: string;
  readonly state: string;
}

/** Fields 22 and 3 of /proc/PID/stat; null when there is no such process. */
export function processStartTime(pid: number): ProcessStart | null {
  const stat = readProc(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The command name stands in parentheses and may itself hold blanks and parentheses: the fields start after the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = ''] = fields;
  return { state, startTimeTicks: fields[19] ?? '' };
}

/** The kernel's random id of this boot; a record with another one is from before a reboot. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
