import { VmferryError } from '@vmferry/errors';
import koffi from 'koffi';

/**
 * The only table of errno names. Linux gives some numbers two names (EAGAIN is EWOULDBLOCK); the one that POSIX prefers is
 * listed here, so that a switch on names never has to know both.
 */
const preferredNames = ['EAGAIN', 'EDEADLK', 'EOPNOTSUPP'];

const names = new Map<number, string>(Object.entries(koffi.os.errno).map(([name, errno]) => [errno, name]));
for (const name of preferredNames) {
  const errno = koffi.os.errno[name];
  if (errno !== undefined) names.set(errno, name);
}

/** What `data` of a `system-call-failed` holds. */
export interface SystemCallFailure {
  readonly call: string;
  readonly errno: number;
  readonly name: string;
}

/** The name of an errno, `ERRNO-n` for a number that this system does not list. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `ERRNO-${errno}`;
}

/** The error of a system call; `where` says which descriptor, path or process it was about. */
export function systemCallError(call: string, errno: number, where: string, cause?: unknown): VmferryError {
  const failure: SystemCallFailure = { call, errno, name: errnoName(errno) };
  return new VmferryError('system-call-failed', `${call} of ${where} failed with ${failure.name} (${errno}).`, {
    cause,
    data: { ...failure },
  });
}

/** An error of node:fs as the same VmferryError that our own calls throw; anything else as it is. */
export function fromNodeError(thrown: unknown, where: string): unknown {
  if (!(thrown instanceof Error) || !('errno' in thrown) || typeof thrown.errno !== 'number') return thrown;
  const call = 'syscall' in thrown && typeof thrown.syscall === 'string' ? thrown.syscall : 'system call';
  return systemCallError(call, Math.abs(thrown.errno), where, thrown);
}

/** What failed, when `thrown` is a failed system call; else null. */
export function systemCallFailure(thrown: unknown): SystemCallFailure | null {
  if (!VmferryError.is(thrown, 'system-call-failed')) return null;
  const { call, errno, name } = thrown.data;
  if (typeof call !== 'string' || typeof errno !== 'number' || typeof name !== 'string') return null;
  return { call, errno, name };
}

/** True when `thrown` is a failed system call with one of these errno names. */
export function isErrno(thrown: unknown, ...wanted: readonly string[]): boolean {
  const failure = systemCallFailure(thrown);
  return failure !== null && wanted.includes(failure.name);
}
