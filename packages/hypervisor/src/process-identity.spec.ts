import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { identityOf, isSameProcess, killProcess, type ProcessIdentity, waitForExit } from './process-identity.js';

async function sleeper(): Promise<{ child: ReturnType<typeof spawn>; identity: ProcessIdentity }> {
  const child = spawn('/bin/sleep', ['600']);
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child, 'spawn');
  const identity = identityOf(child.pid ?? 0);
  if (identity === null) throw new Error('the sleeper is not there');
  return { child, identity };
}

test('killing proves the end of the process', async () => {
  const { child, identity } = await sleeper();
  const exited = once(child, 'exit');
  expect(isSameProcess(identity)).toBe(true);
  await killProcess(identity);
  expect(isSameProcess(identity)).toBe(false);
  expect(await exited).toEqual([null, 'SIGKILL']);
});

test('killing what has gone is no error', async () => {
  const { child, identity } = await sleeper();
  const exited = once(child, 'exit');
  await killProcess(identity);
  await exited;
  await killProcess(identity);
});

test('a stopped process is killed too', async () => {
  const { child, identity } = await sleeper();
  child.kill('SIGSTOP');
  await killProcess(identity);
  expect(isSameProcess(identity)).toBe(false);
});

test.each([
  ['start time', { startTimeTicks: '1' }],
  ['boot', { bootId: '00000000-0000-0000-0000-000000000000' }],
])('a process of another %s is never signalled', async (_what, other) => {
  const { child, identity } = await sleeper();
  await killProcess({ ...identity, ...other });
  expect(isSameProcess(identity)).toBe(true);
  expect(child.exitCode).toBeNull();
});

test('waiting tells an end from its time limit, and leaks no descriptor', async () => {
  const { child, identity } = await sleeper();
  expect(await waitForExit(identity, 10)).toBe(false);
  const before = readdirSync('/proc/self/fd').length;
  const waiting = waitForExit(identity, 20_000);
  child.kill('SIGKILL');
  expect(await waiting).toBe(true);
  expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before);
});

test('there is no identity of a pid that nobody has', () => {
  expect(identityOf(2 ** 30)).toBeNull();
});
