import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { QmpClient } from '@vmferry/qmp';
import { noFaults, systemClock } from '@vmferry/seams';
import { onTestFinished } from 'vitest';
import { type LaunchedProcess, type LaunchOptions, launch } from './launch.js';
import { killProcess } from './process-identity.js';

export const nobody = { uid: 65534, gid: 65534 };

/** A folder of QEMU's user with mode 0700, gone when the test is over. */
export function runtimeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'vf-'));
  chownSync(folder, nobody.uid, nobody.gid);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A small machine that is never run; `monitor` is the path of its only monitor. */
export function bareArgv(monitor: string, ...more: readonly string[]): string[] {
  const machine = ['-machine', 'q35', '-accel', 'tcg', '-m', '4', '-nodefaults', '-no-user-config', '-display', 'none', '-S'];
  const control = ['-chardev', `socket,id=m,path=${monitor},server=on,wait=off`, '-mon', 'chardev=m,mode=control'];
  return ['/usr/bin/qemu-system-x86_64', ...machine, ...control, ...more];
}

/** Launches as nobody, and proves the end of the process when the test is over. */
export async function launchForTest(
  o: Partial<LaunchOptions> & { readonly argv: readonly string[]; readonly logPath: string },
): Promise<LaunchedProcess> {
  const launched = await launch({ user: nobody, beforeExec: async () => undefined, faults: noFaults, ...o });
  onTestFinished(() => killProcess(launched.identity));
  return launched;
}

export async function connectForTest(path: string): Promise<QmpClient> {
  const qmp = await QmpClient.connect({ path, clock: systemClock, deadlineMs: 20_000 });
  onTestFinished(() => qmp.close());
  return qmp;
}
