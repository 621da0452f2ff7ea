import { once } from 'node:events';
import { closeSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { closeFd, setNonBlocking, socketpair } from '@vmferry/posix';
import { systemClock } from '@vmferry/seams';
import { expect, onTestFinished, test } from 'vitest';
import { QmpClient } from './client.js';
import { startQemu, temporaryFolder } from './spec-helper.js';

async function connectToQemu(
  path = join(temporaryFolder(), 'm.sock'),
): Promise<{ qmp: QmpClient; qemu: ReturnType<typeof startQemu>; path: string }> {
  const qemu = startQemu(path);
  const qmp = await QmpClient.connect({ path, clock: systemClock, deadlineMs: 20_000 });
  onTestFinished(() => qmp.close());
  return { qmp, qemu, path };
}

test('connects to a QEMU that has yet to create its socket, and reads its greeting', async () => {
  const path = join(temporaryFolder(), 'm.sock');
  const connecting = QmpClient.connect({ path, clock: systemClock, deadlineMs: 20_000 });
  startQemu(path);
  const qmp = await connecting;
  onTestFinished(() => qmp.close());
  expect(qmp.greeting.qemu.major).toBeGreaterThanOrEqual(7);
  expect(await qmp.execute('query-status', {})).toMatchObject({ running: false, status: 'prelaunch' });
});

test('an event that QEMU wrote before a reply is delivered before the reply', async () => {
  const { qmp } = await connectToQemu();
  const seen: string[] = [];
  qmp.onAny((event) => seen.push(event.name));
  for (let round = 0; round < 20; round += 1) {
    seen.push(await qmp.execute('cont', {}).then(() => 'cont'));
    seen.push(await qmp.execute('stop', {}).then(() => 'stop'));
  }
  expect(seen).toEqual(Array.from({ length: 20 }, () => ['RESUME', 'cont', 'STOP', 'stop']).flat());
});

test('an event carries the reading of the clock of this process', async () => {
  const { qmp } = await connectToQemu();
  const beforeMs = systemClock.monotonicMs();
  const resumed = qmp.waitFor('RESUME', undefined, { deadlineMs: 10_000 });
  await qmp.execute('cont', {});
  const { receivedAtMs } = await resumed;
  expect(receivedAtMs).toBeGreaterThanOrEqual(beforeMs);
  expect(receivedAtMs).toBeLessThanOrEqual(systemClock.monotonicMs());
});

test('commands sent at once are answered each with its own answer', async () => {
  const { qmp } = await connectToQemu();
  const [name, status, version, kvm] = await Promise.all([
    qmp.execute('query-name', {}),
    qmp.execute('query-status', {}),
    qmp.execute('query-version', {}),
    qmp.execute('query-kvm', {}),
  ]);
  expect(name).toEqual({});
  expect(status.status).toBe('prelaunch');
  expect(version.qemu.major).toBe(qmp.greeting.qemu.major);
  expect(kvm.enabled).toBe(false);
});

test('any command of an administrator is answered as QEMU answers it, and refused in its words', async () => {
  const { qmp } = await connectToQemu();
  expect(await qmp.executeUntyped('qom-get', { path: '/machine', property: 'type' })).toMatch(/^pc-q35-.*-machine$/);
  expect(await qmp.executeUntyped('query-status', {})).toMatchObject({ running: false });
  await expect(qmp.executeUntyped('no-such-command', {})).rejects.toMatchObject({
    code: 'monitor-failed',
    data: { command: 'no-such-command', class: 'CommandNotFound' },
  });
});

test('the kernel tells which process listens on the monitor', async () => {
  const { qmp, qemu } = await connectToQemu();
  expect(qmp.listenerPid).toBe(qemu.pid);
});

test('each query that takes no arguments is answered in the form of the schema', async () => {
  const { qmp } = await connectToQemu();
  const queries = [
    'query-block',
    'query-blockstats',
    'query-named-block-nodes',
    'query-chardev',
    'query-cpus-fast',
    'query-machines',
  ] as const;
  for (const query of queries) expect(await qmp.execute(query, {}), query).toBeInstanceOf(Array);
  const more = [
    'query-memory-size-summary',
    'query-migrate',
    'query-migrate-capabilities',
    'query-migrate-parameters',
    'query-uuid',
    'query-qmp-schema',
  ] as const;
  for (const query of more) expect(await qmp.execute(query, {}), query).toBeTypeOf('object');
});

test('what QEMU refuses is monitor-failed with its class and its words', async () => {
  const { qmp } = await connectToQemu();
  const error = await qmp.execute('closefd', { fdname: 'no-such' }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(VmferryError);
  expect(error).toMatchObject({ code: 'monitor-failed', data: { command: 'closefd', class: 'GenericError' } });
  expect(String(error)).toContain('no-such');
});

test('a second client is told by a deadline that nobody greets it, and gets in when the first has gone', async () => {
  const { qmp, path } = await connectToQemu();
  const second = QmpClient.connect({ path, clock: systemClock, deadlineMs: 100 });
  await expect(second).rejects.toMatchObject({ code: 'monitor-timeout', message: expect.stringContaining('another client') });
  qmp.close();
  const third = await QmpClient.connect({ path, clock: systemClock, deadlineMs: 20_000 });
  onTestFinished(() => third.close());
  expect((await third.execute('query-status', {})).running).toBe(false);
});

test('a path where no QEMU appears is monitor-timeout', async () => {
  const path = join(temporaryFolder(), 'absent.sock');
  const connecting = QmpClient.connect({ path, clock: systemClock, deadlineMs: 60 });
  await expect(connecting).rejects.toMatchObject({ code: 'monitor-timeout', data: { path } });
});

test('connecting stops at once when the process that should listen has ended', async () => {
  const path = join(temporaryFolder(), 'm.sock');
  const ended = new AbortController();
  const qemu = startQemu(path, '-machine', 'no-such-machine');
  qemu.once('exit', () => ended.abort(new VmferryError('hypervisor-failed', 'QEMU exited with 1.')));
  const connecting = QmpClient.connect({ path, clock: systemClock, deadlineMs: 60_000, signal: ended.signal });
  await expect(connecting).rejects.toMatchObject({ code: 'hypervisor-failed' });
});

test('a path that the kernel would cut is refused before anything is tried', async () => {
  const path = `/tmp/${'x'.repeat(120)}`;
  await expect(QmpClient.connect({ path, clock: systemClock, deadlineMs: 10 })).rejects.toMatchObject({
    code: 'invalid-argument',
  });
});

test('a QEMU that hangs is monitor-timeout, and its late answer is dropped', async () => {
  const { qmp, qemu } = await connectToQemu();
  qemu.kill('SIGSTOP');
  await expect(qmp.execute('query-status', {}, { deadlineMs: 50 })).rejects.toMatchObject({ code: 'monitor-timeout' });
  qemu.kill('SIGCONT');
  expect(await qmp.execute('query-name', {})).toEqual({});
});

test('a killed QEMU is guest-gone for whoever waits, calls or listens', async () => {
  const { qmp, qemu } = await connectToQemu();
  const closed = new Promise<VmferryError>((resolve) => qmp.onClose(resolve));
  qemu.kill('SIGSTOP');
  const waiting = qmp.waitFor('STOP');
  const calling = qmp.execute('query-status', {});
  qemu.kill('SIGKILL');
  await expect(calling).rejects.toMatchObject({ code: 'guest-gone' });
  await expect(waiting).rejects.toMatchObject({ code: 'guest-gone' });
  expect((await closed).code).toBe('guest-gone');
  expect(qmp.closed).toBe(true);
  await expect(qmp.execute('query-status', {})).rejects.toMatchObject({ code: 'guest-gone' });
});

test('quit is answered, and then the monitor ends', async () => {
  const { qmp, qemu } = await connectToQemu();
  const exited = once(qemu, 'exit');
  const closed = new Promise<VmferryError>((resolve) => qmp.onClose(resolve));
  await qmp.execute('quit', {});
  expect((await closed).code).toBe('guest-gone');
  expect(await exited).toEqual([0, null]);
});

test('close() rejects what is under way and is not reported as an end of QEMU', async () => {
  const { qmp } = await connectToQemu();
  let reported = false;
  qmp.onClose(() => {
    reported = true;
  });
  const waiting = qmp.waitFor('STOP');
  const calling = qmp.execute('query-status', {});
  qmp.close();
  await expect(calling).rejects.toMatchObject({ code: 'monitor-failed' });
  await expect(waiting).rejects.toMatchObject({ code: 'monitor-failed' });
  expect(reported).toBe(false);
});

test('waiting for an event ends by its signal and by its deadline', async () => {
  const { qmp } = await connectToQemu();
  const abort = new AbortController();
  const waiting = qmp.waitFor('STOP', undefined, { signal: abort.signal });
  abort.abort(new Error('not wanted any more'));
  await expect(waiting).rejects.toThrow('not wanted any more');
  await expect(qmp.waitFor('STOP', undefined, { deadlineMs: 20 })).rejects.toMatchObject({ code: 'monitor-timeout' });
});

function isNonBlocking(fd: number): boolean {
  const flags = /^flags:\s+([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '';
  return (Number.parseInt(flags, 8) & 0o4000) !== 0;
}

test('a descriptor travels with its command amid others, and getfd clears its O_NONBLOCK', async () => {
  const { qmp } = await connectToQemu();
  const [ours, theirs] = socketpair();
  onTestFinished(() => closeSync(ours));
  setNonBlocking(theirs, true);
  expect(isNonBlocking(theirs)).toBe(true);
  await Promise.all([
    qmp.execute('query-qmp-schema', {}),
    qmp.execute('getfd', { fdname: 'migrate' }, { fd: theirs }),
    qmp.execute('query-name', {}),
  ]);
  expect(isNonBlocking(theirs)).toBe(false);
  closeFd(theirs);
  await qmp.execute('closefd', { fdname: 'migrate' });
});
