import { openSync } from 'node:fs';
import { VmferryError } from '@vmferry/errors';
import { describe, expect, it } from 'vitest';
import { errnoName, fromNodeError, isErrno, systemCallError, systemCallFailure } from './errno.js';

describe('errno', () => {
  it('gives the POSIX name where Linux has two', () => {
    expect([errnoName(11), errnoName(35), errnoName(95)]).toEqual(['EAGAIN', 'EDEADLK', 'EOPNOTSUPP']);
  });

  it('names a number that is not listed by the number', () => {
    expect(errnoName(4000)).toBe('ERRNO-4000');
  });

  it('makes the same error of a call of ours and of one of node:fs', () => {
    let fromNode: unknown;
    try {
      openSync('/no/such/file', 'r');
    } catch (thrown) {
      fromNode = fromNodeError(thrown, '/no/such/file');
    }
    expect(fromNode).toBeInstanceOf(VmferryError);
    expect((fromNode as VmferryError).data).toEqual(systemCallError('open', 2, '/no/such/file').data);
  });

  it('lets any other error through as it is', () => {
    const other = new TypeError('not a system call');
    expect(fromNodeError(other, 'x')).toBe(other);
    expect(systemCallFailure(other)).toBeNull();
    expect(isErrno(other, 'ENOENT')).toBe(false);
    expect(systemCallFailure(systemCallError('close', 9, 'x'))).toEqual({ call: 'close', errno: 9, name: 'EBADF' });
    expect(isErrno(systemCallError('close', 9, 'x'), 'EIO', 'EBADF')).toBe(true);
    expect(isErrno(systemCallError('close', 9, 'x'), 'EIO')).toBe(false);
  });
});
