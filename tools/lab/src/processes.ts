import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** The processes of this machine that name `uuid` in their arguments: the QEMUs of a guest, and launchers that wait to become one. */
export function processesOf(uuid: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && argumentsOf(entry).includes(uuid))
    .map(Number);
}

/** True when a process is stopped, as by SIGSTOP. */
export function isStopped(pid: number): boolean {
  return readOrEmpty(`/proc/${pid}/stat`).split(') ').at(-1)?.startsWith('T') === true;
}

/**
 * The descriptors of a process by what they are, sorted: `file PATH`, `pipe`, `unix`, `tcp listen`, `tcp established`, `tcp close-wait`, or the
 * kernel's name of an anonymous one. Empty when the process is gone.
 */
export function openDescriptors(pid: number): string[] {
  const sockets = socketsByInode();
  return entriesOf(`/proc/${pid}/fd`)
    .flatMap((fd) => {
      const target = linkOrNull(`/proc/${pid}/fd/${fd}`);
      return target === null ? [] : [kindOf(target, sockets)];
    })
    .sort();
}

function kindOf(target: string, sockets: ReadonlyMap<string, string>): string {
  const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
  if (inode !== undefined) return sockets.get(inode) ?? 'socket';
  if (target.startsWith('pipe:')) return 'pipe';
  return target.startsWith('/') ? `file ${target}` : target;
}

const tcpStates: Readonly<Record<string, string>> = { '01': 'established', '08': 'close-wait', '0A': 'listen' };

function socketsByInode(): Map<string, string> {
  const kinds = new Map<string, string>();
  for (const line of linesOf('/proc/net/unix')) {
    const inode = line.split(/\s+/)[6];
    if (inode !== undefined) kinds.set(inode, 'unix');
  }
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of linesOf(table)) {
      const [, , , state = '', , , , , , inode = ''] = line.trim().split(/\s+/);
      kinds.set(inode, `tcp ${tcpStates[state] ?? `state ${state}`}`);
    }
  }
  return kinds;
}

function linesOf(path: string): string[] {
  return readOrEmpty(path).split('\n').slice(1, -1);
}

function argumentsOf(pid: string): string {
  return readOrEmpty(`/proc/${pid}/cmdline`);
}

/** A process may end between two looks at it. */
function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function entriesOf(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function linkOrNull(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}
