import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { flockExclusive } from '@vmferry/posix';
import { noFaults } from '@vmferry/seams';
import { expect, onTestFinished, test } from 'vitest';
import { launch } from './launch.js';
import { logTail } from './log-tail.js';
import { isSameProcess, killProcess, type ProcessIdentity, waitForExit } from './process-identity.js';
import { bareArgv, connectForTest, launchForTest, nobody, runtimeFolder } from './spec-helper.js';

function processStatus(pid: number | string): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, 'utf8').trim().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(':\t').map((part) => part.trim()) as [string, string]));
}

test('QEMU is executed only after beforeExec, in the process that was journalled', async () => {
  const folder = runtimeFolder();
  const monitor = join(folder, 'm');
  let journalled: ProcessIdentity | null = null;
  const { identity } = await launchForTest({
    argv: bareArgv(monitor),
    logPath: join(folder, 'log'),
    beforeExec: async (seen) => {
      journalled = seen;
      expect(readlinkSync(`/proc/${seen.pid}/exe`)).toContain('sh');
    },
  });
  await connectForTest(monitor);
  expect(identity).toEqual(journalled);
  expect(readlinkSync(`/proc/${identity.pid}/exe`)).toContain('qemu-system-x86_64');
  expect(isSameProcess(identity)).toBe(true);
});

test('when beforeExec rejects, its error comes out and no process is left', async () => {
  const folder = runtimeFolder();
  let seen: ProcessIdentity | null = null;
  const launching = launch({
    argv: bareArgv(join(folder, 'm')),
    logPath: join(folder, 'log'),
    faults: noFaults,
    beforeExec: async (identity) => {
      seen = identity;
      throw new Error('the journal is full');
    },
  });
  await expect(launching).rejects.toThrow('the journal is full');
  expect(seen).not.toBeNull();
  if (seen !== null) expect(isSameProcess(seen)).toBe(false);
  expect(readdirSync(folder)).toEqual(['log']);
});

test('an agent that is killed before "go" leaves no QEMU behind', async () => {
  const folder = runtimeFolder();
  const agentFile = join(folder, 'agent.mjs');
  const module = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  writeFileSync(
    agentFile,
    `import { launch } from ${module('../dist/launch.js')};
     await launch({ argv: ${JSON.stringify(bareArgv(join(folder, 'm')))}, logPath: ${JSON.stringify(join(folder, 'log'))},
       faults: () => undefined, beforeExec: (identity) => { process.send(identity); return new Promise(() => setInterval(() => 0, 1000)); } });`,
  );
  const agent = fork(agentFile, { execArgv: [] });
  const [identity] = (await once(agent, 'message')) as [ProcessIdentity];
  expect(isSameProcess(identity)).toBe(true);
  agent.kill('SIGKILL');
  expect(await waitForExit(identity, 20_000)).toBe(true);
  expect(readdirSync(folder).sort()).toEqual(['agent.mjs', 'log']);
});

test.each(['D5', 'D6'])('a fault at %s leaves no QEMU behind', async (point) => {
  const folder = runtimeFolder();
  let seen: ProcessIdentity | null = null;
  const launching = launch({
    argv: bareArgv(join(folder, 'm')),
    logPath: join(folder, 'log'),
    beforeExec: async (identity) => {
      seen = identity;
    },
    faults: (here) => {
      if (here === point) throw new Error(`fault at ${here}`);
    },
  });
  await expect(launching).rejects.toThrow(`fault at ${point}`);
  if (seen !== null) expect(isSameProcess(seen)).toBe(false);
});

test('QEMU runs as the given user, without groups, capabilities and new privileges, in a session of its own', async () => {
  const folder = runtimeFolder();
  const monitor = join(folder, 'm');
  const { identity } = await launchForTest({ argv: bareArgv(monitor), logPath: join(folder, 'log') });
  await connectForTest(monitor);
  const status = processStatus(identity.pid);
  expect(status.Uid?.split('\t')).toEqual(Array(4).fill(String(nobody.uid)));
  expect(status.Gid?.split('\t')).toEqual(Array(4).fill(String(nobody.gid)));
  expect(status.Groups).toBe('');
  expect(status.NoNewPrivs).toBe('1');
  expect([status.CapEff, status.CapPrm, status.CapInh, status.CapBnd]).toEqual(Array(4).fill('0'.repeat(16)));
  expect(readFileSync(`/proc/${identity.pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[3]).toBe(String(identity.pid));
  expect(readFileSync(`/proc/${identity.pid}/environ`, 'utf8').split('\0').filter(Boolean).sort()).toEqual([
    'HOME=/',
    'LC_ALL=C',
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'PWD=/',
  ]);
  expect(statSync(monitor).mode & 0o777).toBe(0o700);
});

const sandbox = ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'];

test('threat 14: in its sandbox every thread of QEMU is filtered and without new privileges, also when it is born with a label', async () => {
  const folder = runtimeFolder();
  const monitor = join(folder, 'm');
  // In place of an attribute of /proc, which takes a label only where there is a security module.
  const attribute = join(folder, 'exec');
  writeFileSync(attribute, '', { mode: 0o666 });
  chmodSync(attribute, 0o666);
  const { identity } = await launchForTest({
    argv: bareArgv(monitor, ...sandbox),
    logPath: join(folder, 'log'),
    execLabels: [{ attribute, text: 'system_u:system_r:svirt_t:s0:c1,c2' }],
  });
  const qmp = await connectForTest(monitor);
  await qmp.execute('query-status', {});
  expect(readFileSync(attribute, 'utf8')).toBe('system_u:system_r:svirt_t:s0:c1,c2');
  expect(readlinkSync(`/proc/${identity.pid}/exe`)).toContain('qemu-system-x86_64');
  for (const thread of readdirSync(`/proc/${identity.pid}/task`)) {
    const { Uid, Groups, NoNewPrivs, Seccomp, CapEff, CapPrm, CapInh, CapBnd, CapAmb } = processStatus(
      `${identity.pid}/task/${thread}`,
    );
    expect([Uid?.split('\t'), Groups, NoNewPrivs, Seccomp]).toEqual([Array(4).fill(String(nobody.uid)), '', '1', '2']);
    expect([CapEff, CapPrm, CapInh, CapBnd, CapAmb]).toEqual(Array(5).fill('0'.repeat(16)));
  }
});

test('a label that is refused leaves no QEMU', async () => {
  const folder = runtimeFolder();
  const monitor = join(folder, 'm');
  const { exited, identity } = await launchForTest({
    argv: bareArgv(monitor),
    logPath: join(folder, 'log'),
    // The kernel takes no such label, with a security module or without.
    execLabels: [{ attribute: '/proc/self/attr/exec', text: 'no label' }],
  });
  expect(await exited).toEqual({ code: 126, signal: null });
  expect(isSameProcess(identity)).toBe(false);
  expect(readdirSync(folder)).toEqual(['log']);
});

test('of the descriptors of the agent QEMU has exactly those that it is to inherit, from 4 on', async () => {
  const folder = runtimeFolder();
  const monitor = join(folder, 'm');
  const secret = openSync(join(folder, 'secret'), 'w');
  const first = openSync(join(folder, 'first'), 'w');
  const second = openSync(join(folder, 'second'), 'w');
  onTestFinished(() => {
    for (const fd of [secret, first, second]) closeSync(fd);
  });
  const { identity } = await launchForTest({
    argv: bareArgv(monitor),
    logPath: join(folder, 'log'),
    inheritFds: [second, first],
  });
  const qmp = await connectForTest(monitor);
  await qmp.execute('query-status', {});
  const targets = Object.fromEntries(
    readdirSync(`/proc/${identity.pid}/fd`).map((fd) => [fd, readlinkSync(`/proc/${identity.pid}/fd/${fd}`)]),
  );
  expect(targets).toMatchObject({
    0: '/dev/null',
    1: join(folder, 'log'),
    2: join(folder, 'log'),
    4: join(folder, 'second'),
    5: join(folder, 'first'),
  });
  const others = Object.entries(targets)
    .filter(([fd]) => ![0, 1, 2, 4, 5].includes(Number(fd)))
    .map(([, target]) => target);
  const own = /^(socket:|anon_inode:|\/dev\/urandom$|\/dev\/null$|\/memfd:|pipe:)/;
  expect(others.filter((target) => !own.test(target))).toEqual([]);
  expect(Object.values(targets)).not.toContain(join(folder, 'secret'));
});

test('a lock that QEMU inherits is held until QEMU ends, whatever the agent does', async () => {
  const folder = runtimeFolder();
  const lock = join(folder, 'lock');
  const ours = openSync(lock, 'w');
  expect(flockExclusive(ours)).toBe(true);
  const { identity } = await launchForTest({
    argv: bareArgv(join(folder, 'm')),
    logPath: join(folder, 'log'),
    inheritFds: [ours],
  });
  await connectForTest(join(folder, 'm'));
  closeSync(ours);
  const other = openSync(lock, 'w');
  onTestFinished(() => closeSync(other));
  expect(flockExclusive(other)).toBe(false);
  await killProcess(identity);
  expect(flockExclusive(other)).toBe(true);
});

test('what QEMU says is in the log, and its exit code comes out', async () => {
  const folder = runtimeFolder();
  const logPath = join(folder, 'log');
  const { exited } = await launchForTest({ argv: bareArgv(join(folder, 'm'), '-machine', 'no-such-machine'), logPath });
  expect(await exited).toEqual({ code: 1, signal: null });
  expect(await logTail(logPath)).toContain('unsupported machine type');
  expect(lstatSync(logPath).mode & 0o777).toBe(0o600);
  expect(await logTail(logPath, 10)).toHaveLength(10);
  expect(await logTail(join(folder, 'no-log'))).toBe('');
});

test('a log path that is a symbolic link is refused before anything is started', async () => {
  const folder = runtimeFolder();
  symlinkSync('/etc/passwd', join(folder, 'log'));
  const launching = launchForTest({ argv: bareArgv(join(folder, 'm')), logPath: join(folder, 'log') });
  await expect(launching).rejects.toMatchObject({ code: 'system-call-failed', data: { name: 'ELOOP' } });
});

test('the agent keeps no descriptor of a launch', async () => {
  const folder = runtimeFolder();
  const countFds = () => readdirSync('/proc/self/fd').length;
  await (await launchForTest({ argv: bareArgv(join(folder, 'a'), '-machine', 'none-such'), logPath: join(folder, 'log') }))
    .exited;
  const before = countFds();
  for (let round = 0; round < 3; round += 1) {
    const { exited } = await launchForTest({
      argv: bareArgv(join(folder, 'b'), '-machine', 'none-such'),
      logPath: join(folder, 'log'),
    });
    await exited;
  }
  expect(countFds()).toBe(before);
});

test('a process with the same pid and another start time is not the same process', () => {
  const child = spawn('/bin/sleep', ['60']);
  onTestFinished(() => void child.kill('SIGKILL'));
  const other = {
    pid: child.pid ?? 0,
    startTimeTicks: '1',
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  };
  expect(isSameProcess(other)).toBe(false);
});
