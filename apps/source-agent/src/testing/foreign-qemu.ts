import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { QmpClient } from '@vmferry/qmp';
import { systemClock } from '@vmferry/seams';

export interface ForeignQemu {
  readonly pid: number;
  readonly monitor: string;
  readonly child: ChildProcess;
  end(): Promise<void>;
}

/** A QEMU that a spec starts by hand, as somebody without vmferry would; it resolves when its monitor has been free to greet. */
export async function startForeignQemu(folder: string, uuid: string, more: readonly string[]): Promise<ForeignQemu> {
  const monitor = join(folder, `${uuid.slice(0, 8)}.qmp`);
  const machine = ['-machine', 'q35', '-accel', 'tcg', '-m', 'size=8192k', '-nodefaults', '-display', 'none'];
  const child = spawn(
    'qemu-system-x86_64',
    [...machine, '-name', 'foreign', '-uuid', uuid, '-qmp', `unix:${monitor},server=on,wait=off`, ...more],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const exited = once(child, 'exit');
  const qmp = await QmpClient.connect({ path: monitor, clock: systemClock, deadlineMs: 20_000 });
  qmp.close();
  return {
    pid: child.pid ?? 0,
    monitor,
    child,
    async end() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
