import { errnoName, systemCallError } from './errno.js';
import { lastErrno, libc } from './libc.js';

const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Takes the exclusive flock of the open file, at once or not at all: false when another open file of it holds the lock. The lock
 * lives until the last descriptor of this open file is closed, also one that a child or a receiver of SCM_RIGHTS holds.
 */
export function flockExclusive(fd: number): boolean {
  if (libc.flock(fd, LOCK_EX | LOCK_NB) !== -1) return true;
  const errno = lastErrno();
  if (errnoName(errno) === 'EAGAIN') return false;
  throw systemCallError('flock', errno, `descriptor ${fd}`);
}
