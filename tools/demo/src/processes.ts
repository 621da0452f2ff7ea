import { readdirSync, readFileSync } from 'node:fs';

export interface FoundProcess {
  readonly pid: number;
  readonly commandLine: string;
}

/**
 * The processes whose command line names the demo's folder, which no other run has: its apps and its QEMUs, whoever started them. A
 * zombie has no command line, so what has ended and was not reaped yet does not count.
 */
export function processesOf(folder: string): FoundProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), commandLine: commandLineOf(name) }))
    .filter(({ pid, commandLine }) => pid !== process.pid && commandLine.includes(folder));
}

function commandLineOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trimEnd();
  } catch {
    // It ended since the folder was read.
    return '';
  }
}
