import { closeSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { getAttribute, removeAttribute, setAttribute } from './attributes.js';
import { isErrno } from './errno.js';
import { withReadable } from './labelable.js';

const name = 'user.vmferry-spec';
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'posix-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

it('sets, reads and removes an attribute by descriptor; one that is not there is none', () => {
  const path = join(folder, 'file');
  writeFileSync(path, '');
  withReadable(path, (fd) => {
    expect(getAttribute(fd, name)).toBeNull();
    setAttribute(fd, name, Buffer.from('a\0b'));
    expect(Buffer.from(getAttribute(fd, name) ?? []).toString()).toBe('a\0b');
    setAttribute(fd, name, new Uint8Array(0));
    expect(getAttribute(fd, name)).toHaveLength(0);
    removeAttribute(fd, name);
    removeAttribute(fd, name);
    expect(getAttribute(fd, name)).toBeNull();
  });
});

it('tells what failed', () => {
  const failure = (act: () => unknown): unknown => {
    try {
      return act();
    } catch (thrown) {
      return thrown;
    }
  };
  const fd = openSync('/proc/self/stat', 'r');
  expect(
    isErrno(
      failure(() => setAttribute(fd, name, Buffer.from('x'))),
      'EOPNOTSUPP',
      'EPERM',
    ),
  ).toBe(true);
  closeSync(fd);
  expect(
    isErrno(
      failure(() => getAttribute(-1, name)),
      'EBADF',
    ),
  ).toBe(true);
});

it('threat 3: what is read through a first look is that very file, and no link is followed', () => {
  writeFileSync(join(folder, 'victim'), '');
  symlinkSync('victim', join(folder, 'link'));
  expect(() => withReadable(join(folder, 'link'), () => undefined)).toThrow(/symbolic link/);
});
