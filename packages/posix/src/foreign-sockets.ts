import { readdirSync, readlinkSync } from 'node:fs';
import { closeFd } from './descriptors.js';
import { checked, libc } from './libc.js';
import { ifThere, readProc } from './proc.js';
import { pidfdOpen } from './processes.js';
import { tcpSilentMs } from './sockets.js';

const SYS_pidfd_getfd = 438;

/**
 * How long nothing has come over the TCP connections that another process has at this port of the host, in milliseconds: the liveliest
 * counts. Null when it has none. EPERM, or EACCES, for a process that this one may not look into.
 */
export function tcpSilentMsOf(pid: number, localPort: number): number | null {
  const inodes = establishedAt(localPort);
  const fds = (ifThere(`/proc/${pid}/fd`, (path) => readdirSync(path)) ?? []).filter((fd) => {
    const [, inode] = /^socket:\[(\d+)\]$/.exec(ifThere(`/proc/${pid}/fd/${fd}`, (path) => readlinkSync(path)) ?? '') ?? [];
    return inode !== undefined && inodes.has(inode);
  });
  if (fds.length === 0) return null;
  const process = pidfdOpen(pid);
  try {
    return Math.min(...fds.map((fd) => silentMsOf(process, Number(fd))));
  } finally {
    closeFd(process);
  }
}

/** By a copy of its descriptor, which is gone before anybody could miss it. */
function silentMsOf(process: number, fd: number): number {
  const copy = checked('pidfd_getfd', libc.pidfdGetfd(SYS_pidfd_getfd, process, fd, 0), `descriptor ${fd} of another process`);
  try {
    return tcpSilentMs(copy);
  } finally {
    closeFd(copy);
  }
}

/** The inodes of the connections at a port of this host, of either family, as the kernel's tables have them: state 01 is established. */
function establishedAt(localPort: number): ReadonlySet<string> {
  const port = localPort.toString(16).toUpperCase().padStart(4, '0');
  const lines = ['tcp', 'tcp6'].flatMap((table) => (readProc(`/proc/net/${table}`) ?? '').split('\n'));
  const rows = lines.map((line) => line.trim().split(/\s+/));
  return new Set(
    rows.filter(([, local = '', , state]) => local.endsWith(`:${port}`) && state === '01').map((row) => row[9] ?? ''),
  );
}
