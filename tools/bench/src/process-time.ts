import { readFileSync } from 'node:fs';

/** The kernel's USER_HZ, which /proc counts in: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** CPU seconds of a process and all its threads so far, user and system, from the text of its /proc/PID/stat. */
export function cpuSecondsOf(stat: string): number {
  // The command's name is in parentheses and may hold blanks and parentheses itself: the fields are counted behind the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  if (!Number.isInteger(user) || !Number.isInteger(system)) throw new Error(`This is no /proc/PID/stat: ${stat.slice(0, 80)}`);
  return (user + system) / ticksPerSecond;
}

/** The same for processes that live; steps of 10 ms each. */
export function cpuSecondsOfAll(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuSecondsOf(readFileSync(`/proc/${pid}/stat`, 'latin1')), 0);
}
