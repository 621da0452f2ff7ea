import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isErrno } from './errno.js';
import { chownByDescriptor, giveSocket } from './ownership.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'posix-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function refused(path: string): string {
  try {
    chownByDescriptor(path, { uid: 1234, gid: 1234 });
  } catch (thrown) {
    if (VmferryError.is(thrown, 'label-failed')) return thrown.message;
    throw thrown;
  }
  throw new Error(`${path} was changed`);
}

/** Swaps `disk` between a file of its own and a link to the file of someone else, as fast as it can, until it is ended. */
const attacker = `
import os, sys
os.chdir(sys.argv[1])
print('swapping', flush=True)
while True:
    os.symlink('victim', 'next'); os.rename('next', 'disk')
    open('next', 'w').close(); os.rename('next', 'disk')
`;

// Changing owners needs root, as on a host; the test would prove nothing without.
describe.runIf(process.getuid?.() === 0)('chownByDescriptor', () => {
  it('changes the owner and tells the one before', () => {
    const path = join(folder, 'disk');
    writeFileSync(path, '', { mode: 0o000 });
    chownSync(path, 11, 12);
    expect(chownByDescriptor(path, { uid: 1234, gid: 4321 })).toEqual({ uid: 11, gid: 12 });
    expect(statSync(path)).toMatchObject({ uid: 1234, gid: 4321 });
    expect(chownByDescriptor(path, { uid: 11, gid: 12 })).toEqual({ uid: 1234, gid: 4321 });
    expect(statSync(path)).toMatchObject({ uid: 11, gid: 12 });
  });

  it('refuses a link, a folder, a fifo, a device and a file with a second name', () => {
    writeFileSync(join(folder, 'victim'), '');
    symlinkSync('victim', join(folder, 'link'));
    mkdirSync(join(folder, 'folder'));
    expect(spawnSync('mkfifo', [join(folder, 'fifo')]).status).toBe(0);
    expect(refused(join(folder, 'link'))).toContain('symbolic link');
    expect(refused(join(folder, 'folder'))).toContain('neither');
    expect(refused(join(folder, 'fifo'))).toContain('neither');
    expect(refused('/dev/null')).toContain('neither');
    linkSync(join(folder, 'victim'), join(folder, 'second'));
    expect(refused(join(folder, 'second'))).toContain('2 names');
    expect(statSync(join(folder, 'victim')).uid).toBe(0);
    expect(statSync('/dev/null').uid).toBe(0);
  });

  it('refuses ids that are none, and says that a file is missing', () => {
    const path = join(folder, 'disk');
    for (const id of [-1, 0xffff_ffff, 1.5, Number.NaN]) {
      expect(() => chownByDescriptor(path, { uid: id, gid: 0 })).toThrow(/uid/);
      expect(() => chownByDescriptor(path, { uid: 0, gid: id })).toThrow(/gid/);
    }
    let thrown: unknown;
    try {
      chownByDescriptor(path, { uid: 0, gid: 0 });
    } catch (error) {
      thrown = error;
    }
    expect(isErrno(thrown, 'ENOENT')).toBe(true);
  });

  it('never changes the file behind a link that is swapped in, and leaks no descriptor', async () => {
    writeFileSync(join(folder, 'victim'), '');
    const swapper = spawn('python3', ['-c', attacker, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(swapper.stdout, 'data');
    const before = readdirSync('/proc/self/fd').length;
    const seen = { changed: 0, refused: 0 };
    for (let turn = 0; turn < 20_000 && (turn < 5000 || seen.changed === 0 || seen.refused === 0); turn += 1) {
      try {
        chownByDescriptor(join(folder, 'disk'), { uid: 1234, gid: 1234 });
        seen.changed += 1;
      } catch (thrown) {
        // A file that was renamed away after the open has no name left, and one whose link is not made yet is missing.
        if (!VmferryError.is(thrown, 'label-failed') && !isErrno(thrown, 'ENOENT')) throw thrown;
        seen.refused += 1;
      }
    }
    const after = readdirSync('/proc/self/fd').length;
    const ended = once(swapper, 'exit');
    swapper.kill('SIGKILL');
    await ended;
    expect(statSync(join(folder, 'victim')).uid).toBe(0);
    expect(seen.changed).toBeGreaterThan(0);
    expect(seen.refused).toBeGreaterThan(0);
    expect(after).toBe(before);
  });
});

describe.runIf(process.getuid?.() === 0)('giveSocket', () => {
  const other = { uid: 1234, gid: 4321 };
  const gives = (path: string) => () => giveSocket(path, other);

  it('gives a socket of our own to its user; twice is refused, for it is not ours any more', async () => {
    const path = join(folder, 's');
    const server = createServer().listen(path);
    await once(server, 'listening');
    giveSocket(path, other);
    expect(statSync(path)).toMatchObject(other);
    expect(gives(path)).toThrow(expect.objectContaining({ code: 'label-failed' }));
    server.close();
  });

  it('threat 3: changes nothing that was put in its place', async () => {
    const [path, file, link, second] = ['s', 'file', 'link', 'second'].map((name) => join(folder, name));
    const server = createServer().listen(path);
    await once(server, 'listening');
    writeFileSync(file ?? '', '');
    symlinkSync(path ?? '', link ?? '');
    linkSync(path ?? '', second ?? '');
    for (const wrong of [file, link, second, path])
      expect(gives(wrong ?? '')).toThrow(expect.objectContaining({ code: 'label-failed' }));
    expect([statSync(path ?? '').uid, statSync(file ?? '').uid]).toEqual([0, 0]);
    server.close();
  });
});
