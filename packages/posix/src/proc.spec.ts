import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockedFiles, processExecutable, residentKib } from './proc.js';

let child: ChildProcess;
beforeEach(async () => {
  child = spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] });
  // That it answers is the proof that the program is executed.
  child.stdin?.write('there?');
  if (child.stdout !== null) await once(child.stdout, 'data');
});
afterEach(() => child.kill('SIGKILL'));

const pidOf = ({ pid }: ChildProcess): number => pid ?? 0;

async function gone(): Promise<number> {
  child.kill('SIGKILL');
  await once(child, 'exit');
  return pidOf(child);
}

describe('what /proc tells of a process', () => {
  it('which program it executes, and that of one that is gone', async () => {
    expect(processExecutable(process.pid)).toBe(realpathSync(process.execPath));
    expect(processExecutable(await gone())).toBeNull();
  });

  it('how much memory it has', async () => {
    expect(residentKib(pidOf(child))).toBeGreaterThan(100);
    expect(residentKib(await gone())).toBeNull();
  });

  it('which of its files it has locked by the open file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vp-'));
    const [locked, open] = [join(folder, 'locked'), join(folder, 'open')];
    for (const path of [locked, open]) writeFileSync(path, 'x');
    // F_OFD_SETLK is 37; struct flock: type, whence, 4 bytes, start, length, pid, 4 bytes.
    const script = `import fcntl,os,struct,sys
a=os.open(sys.argv[1],os.O_RDWR);b=os.open(sys.argv[2],os.O_RDWR)
fcntl.fcntl(a,37,struct.pack('hhiqqii',0,0,0,100,1,0,0))
print('ready',flush=True);sys.stdin.read()`;
    const holder = spawn('python3', ['-c', script, locked, open], { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(holder.stdout, 'data');
    expect(lockedFiles(pidOf(holder))).toEqual([locked]);
    holder.stdin.end();
    await once(holder, 'exit');
    expect(lockedFiles(pidOf(holder))).toBeNull();
    rmSync(folder, { recursive: true });
  });
});

it('says how many files this process may have open', () => {
  const dist = new URL('../dist/proc.js', import.meta.url).href;
  const code = `import { openFilesMax } from ${JSON.stringify(dist)}; console.log(openFilesMax());`;
  const { stdout } = spawnSync('sh', ['-c', `ulimit -n 321; exec "$0" --input-type=module -e '${code}'`, process.execPath]);
  expect(Number(stdout)).toBe(321);
});
