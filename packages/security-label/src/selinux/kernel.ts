import { constants, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { closeFd, getAttribute, isErrno, openFile, removeAttribute, setAttribute, withReadable } from '@vmferry/posix';

/** What the driver needs of SELinux: a seam, for not every machine has it. */
export interface SelinuxKernel {
  /** The context of this agent. */
  ownContext(): string;
  /** That of another process; null when it is gone. */
  processContext(pid: number): string | null;
  /** What the policy gives guests: of a QEMU, of one that emulates, of what a guest writes. */
  readonly defaults: { readonly domain: string; readonly emulated: string; readonly image: string };
  /** False for a context that the loaded policy does not have. */
  isValid(context: string): boolean;
  /** Null when the file has none. Throws `system-call-failed`. */
  fileContext(fd: number): string | null;
  /** Null takes it away. A file system without labels of its own is left as it is: the policy says what its files are. */
  setFileContext(fd: number, context: string | null): void;
  /** For the sockets that this thread makes from now on; null: as the policy has it. */
  setSocketCreation(context: string | null): void;
}

const attribute = 'security.selinux';
const mountedAt = '/sys/fs/selinux';

export function hasSelinux(): boolean {
  return existsSync(join(mountedAt, 'enforce'));
}

/** The kernel of this machine. Throws `invalid-argument` where it has no SELinux. */
export function openSelinux(): SelinuxKernel {
  if (!hasSelinux())
    throw new VmferryError(
      'invalid-argument',
      `--security-driver selinux: ${mountedAt} is not mounted, so this host has no SELinux.`,
    );
  return {
    ownContext: () => text(readFileSync('/proc/self/attr/current')),
    processContext: (pid) => {
      const path = `/proc/${pid}/attr/current`;
      return existsSync(path) ? text(readFileSync(path)) : null;
    },
    defaults: readDefaults(),
    isValid(context) {
      try {
        writeFileSync(join(mountedAt, 'context'), `${context}\0`);
        return true;
      } catch {
        // EINVAL; whatever else it may be, this context cannot be used.
        return false;
      }
    },
    ...fileContexts,
    setSocketCreation: (context) => writeFileSync('/proc/thread-self/attr/sockcreate', context === null ? '' : `${context}\0`),
  };
}

/** The part of the seam that is extended attributes: these are there without SELinux too. */
export const fileContexts: Pick<SelinuxKernel, 'fileContext' | 'setFileContext'> = {
  fileContext(fd) {
    const value = getAttribute(fd, attribute);
    return value === null ? null : text(value);
  },
  setFileContext(fd, context) {
    try {
      if (context === null) removeAttribute(fd, attribute);
      else setAttribute(fd, attribute, Buffer.from(`${context}\0`));
    } catch (thrown) {
      if (!isErrno(thrown, 'EOPNOTSUPP')) throw thrown;
    }
  },
};

/** Sets the context of a file through one descriptor and returns the one it had; it is changed only when that is `from`. */
export function changeFileContext(
  kernel: Pick<SelinuxKernel, 'fileContext' | 'setFileContext'>,
  path: string,
  to: string | null,
  o: { readonly from: string | null },
): string | null {
  return withReadable(path, (fd) => {
    const had = kernel.fileContext(fd);
    if (had === o.from && had !== to) kernel.setFileContext(fd, to);
    return had;
  });
}

/** A file or folder that the agent has made itself. */
export function withOwnFile(path: string, act: (fd: number) => void): void {
  const fd = openFile(path, constants.O_RDONLY | constants.O_NOFOLLOW, 0);
  try {
    act(fd);
  } finally {
    closeFd(fd);
  }
}

/** The policy's own files, as libselinux finds them. */
function readDefaults(): SelinuxKernel['defaults'] {
  const type = /^\s*SELINUXTYPE\s*=\s*(\S+)/m.exec(readFileSync('/etc/selinux/config', 'utf8'))?.[1] ?? 'targeted';
  const linesOf = (name: string) => {
    const path = join('/etc/selinux', type, 'contexts', name);
    const lines = readFileSync(path, 'utf8')
      .split('\n')
      .map((line) => line.trim());
    const contexts = lines.filter((line) => line !== '' && !line.startsWith('#'));
    const [first] = contexts;
    if (first === undefined) throw new VmferryError('label-failed', `${path} names no context for guests.`, { data: { path } });
    return { first, second: contexts[1] ?? first };
  };
  const { first: domain, second: emulated } = linesOf('virtual_domain_context');
  return { domain, emulated, image: linesOf('virtual_image_context').first };
}

/** The kernel ends what it tells with a NUL, or with a line end. */
function text(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('latin1')
    .replace(/[\0\n]+$/, '');
}
