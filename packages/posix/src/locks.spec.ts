import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { closeFd, duplicateFd, openFile, pipe2 } from './descriptors.js';
import { flockExclusive } from './locks.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'posix-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const openLock = () => openFile(join(folder, 'lock'), constants.O_RDWR | constants.O_CREAT, 0o600);

describe('flockExclusive', () => {
  it('is refused while another process holds the lock, and granted when that process ends', async () => {
    const fd = openLock();
    const holder = spawn('flock', ['-x', join(folder, 'lock'), 'sh', '-c', 'echo held; exec cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    expect(flockExclusive(fd)).toBe(false);
    const ended = once(holder, 'exit');
    holder.stdin.end();
    await ended;
    expect(flockExclusive(fd)).toBe(true);
    closeFd(fd);
  });

  it('lives as long as the last descriptor of the open file', () => {
    const first = openLock();
    const copy = duplicateFd(first);
    const other = openLock();
    expect(flockExclusive(first)).toBe(true);
    closeFd(first);
    expect(flockExclusive(other)).toBe(false);
    closeFd(copy);
    expect(flockExclusive(other)).toBe(true);
    closeFd(other);
  });

  it('lives on in a child that inherited it', async () => {
    const fd = openLock();
    expect(flockExclusive(fd)).toBe(true);
    const child = spawn('cat', [], { stdio: ['pipe', 'ignore', 'inherit', fd] });
    closeFd(fd);
    const other = openLock();
    expect(flockExclusive(other)).toBe(false);
    const ended = once(child, 'exit');
    child.stdin?.end();
    await ended;
    expect(flockExclusive(other)).toBe(true);
    closeFd(other);
  });

  it('says why when the descriptor is no file', () => {
    expect(() => flockExclusive(987_654)).toThrow(/flock .*EBADF/);
    const pipe = pipe2();
    closeFd(pipe.read);
    closeFd(pipe.write);
    expect(() => flockExclusive(pipe.read)).toThrow(/EBADF/);
  });
});
