import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectBothWays, relayProcess, streamIn, tunnel } from './testing/relay-processes.js';

const bytes = 8 * 1_048_576;

/** Stands before libc's `splice` in a real relay: no kernel at hand refuses a stream socket. What it lets through is the kernel's. */
const shimSource = `
#define _GNU_SOURCE
#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
long splice(int in, void *inOffset, int out, void *outOffset, unsigned long bytes, unsigned flags) {
  struct stat stats;
  fstat(in, &stats);
  if (REFUSED) { errno = ERRNO; return -1; }
  return syscall(SYS_splice, in, inOffset, out, outOffset, bytes, flags);
}
`;

const refusals = [
  ['every call, as an old kernel', '1', 'ENOSYS'],
  ['to write to a socket, with bytes in the pipe already', 'S_ISFIFO(stats.st_mode)', 'EINVAL'],
  ['to read from a socket', 'S_ISSOCK(stats.st_mode)', 'EINVAL'],
] as const;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vf-shim-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function shim(refused: string, errno: string): string {
  const path = join(folder, `${refused.replace(/\W/g, '')}.so`);
  const defines = [`-DREFUSED=${refused}`, `-DERRNO=${errno}`];
  execFileSync('g++', ['-shared', '-fPIC', '-x', 'c', ...defines, '-o', path, '-'], { input: shimSource });
  return path;
}

describe('a relay whose kernel refuses to splice', () => {
  it.each(refusals)('%s: moves the bytes by Node, whole both ways, and says so', async (_how, refused, errno) => {
    const a = await relayProcess(['--log-level', 'warn'], { LD_PRELOAD: shim(refused, errno) });
    const b = await relayProcess();
    const { source, destination, qemuA, qemuB } = await tunnel(a, b);
    await expectBothWays({ qemuA, qemuB }, bytes);
    expect(await streamIn(a, source.id, 'closed')).toMatchObject({ path: 'streams', bytesToPeer: bytes, bytesFromPeer: bytes });
    expect(await streamIn(b, destination.id, 'closed')).toMatchObject({ path: 'splice', bytesToPeer: bytes });
    expect(a.logged()).toMatch(new RegExp(`the kernel does not splice the stream.*"reason":"${errno}"`));
    expect(b.logged()).not.toContain('does not splice');
  });
});
