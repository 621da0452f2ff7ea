import { readFileSync, writeFileSync } from 'node:fs';

/** The largest resident memory of a process, in MiB, from the text of its /proc/PID/status. */
export function peakMibOf(status: string): number {
  return mibOf(status, 'VmHWM');
}

/**
 * Notes what a process has in memory now and has the kernel forget its earlier peak. The function that is returned says by how many
 * MiB the process was larger than now at its largest moment since: no sample can miss that one, for the kernel keeps it.
 */
export function watchGrowth(pid: number): () => number {
  const path = `/proc/${pid}/status`;
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  const before = mibOf(readFileSync(path, 'utf8'), 'VmRSS');
  return () => peakMibOf(readFileSync(path, 'utf8')) - before;
}

function mibOf(status: string, field: 'VmHWM' | 'VmRSS'): number {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status);
  if (found === null) throw new Error(`This /proc/PID/status has no ${field}: ${status.slice(0, 80)}`);
  return Number(found[1]) / 1_024;
}
