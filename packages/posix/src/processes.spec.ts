import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { closeFd } from './descriptors.js';
import { bootId, pidfdOpen, pidfdSendSignal, processStartTime, waitPidfd } from './processes.js';

async function start(command: string, ...args: string[]): Promise<{ child: ChildProcess; pid: number }> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child, 'spawn');
  if (child.pid === undefined) throw new Error(`${command} did not start`);
  return { child, pid: child.pid };
}

describe('pidfd', () => {
  it('sees the end of a process, also from two waits on one descriptor', async () => {
    const { child, pid } = await start('cat');
    const pidfd = pidfdOpen(pid);
    const waits = Promise.all([waitPidfd(pidfd, 10_000), waitPidfd(pidfd, 10_000)]);
    child.stdin?.end();
    expect(await waits).toEqual([true, true]);
    expect(await waitPidfd(pidfd, 10_000)).toBe(true);
    closeFd(pidfd);
  });

  it('says after the time given that the process still runs, and leaks nothing', async () => {
    const { child, pid } = await start('cat');
    const pidfd = pidfdOpen(pid);
    const before = readdirSync('/proc/self/fd').length;
    expect(await waitPidfd(pidfd, 20)).toBe(false);
    expect(readdirSync('/proc/self/fd').length).toBe(before);
    const exit = once(child, 'exit');
    pidfdSendSignal(pidfd, 'SIGKILL');
    expect(await waitPidfd(pidfd, 10_000)).toBe(true);
    expect(await exit).toEqual([null, 'SIGKILL']);
    expect(() => pidfdSendSignal(pidfd, 'SIGKILL')).toThrow(/SIGKILL.*ESRCH/);
    closeFd(pidfd);
  });

  it('sees the end of a process that nobody has reaped', async () => {
    // The shell starts a child and then becomes a cat, which never waits for it.
    const { child, pid: parent } = await start('sh', '-c', 'sleep 1000 & echo $!; exec cat');
    if (child.stdout === null) throw new Error('no output');
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    // Until it is the cat that answers, the parent is a shell, and a shell may reap.
    child.stdin?.write('are you the cat?');
    await once(child.stdout, 'data');
    const pidfd = pidfdOpen(pid);
    pidfdSendSignal(pidfd, 'SIGKILL');
    expect(await waitPidfd(pidfd, 10_000)).toBe(true);
    expect(processStartTime(pid)?.state).toBe('Z');
    closeFd(pidfd);
    const exit = once(child, 'exit');
    child.stdin?.end();
    await exit;
    expect(processStartTime(parent)).toBeNull();
  });

  it('does not open a pid that does not exist', async () => {
    const { child, pid } = await start('true');
    if (child.exitCode === null) await once(child, 'exit');
    expect(() => pidfdOpen(pid)).toThrow(new RegExp(`process ${pid}.*ESRCH`));
  });
});

describe('processStartTime', () => {
  it('reads the same ticks for a process all its life, even with parentheses in its name', async () => {
    const { child, pid } = await start('bash', '-c', `printf 'a) R 1 (' > /proc/self/comm; echo named; exec 1>&-; read -r`);
    if (child.stdout === null) throw new Error('no output');
    await once(child.stdout, 'data');
    const started = processStartTime(pid);
    expect(started?.state).toMatch(/^[RS]$/);
    expect(started?.startTimeTicks).toMatch(/^[1-9]\d*$/);
    expect(Number(started?.startTimeTicks)).toBeGreaterThanOrEqual(Number(processStartTime(process.pid)?.startTimeTicks));
    expect(processStartTime(pid)?.startTimeTicks).toBe(started?.startTimeTicks);
    const exit = once(child, 'exit');
    child.stdin?.end();
    await exit;
    expect(processStartTime(pid)).toBeNull();
  });

  it('reads a boot id', () => {
    expect(bootId()).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  });
});
