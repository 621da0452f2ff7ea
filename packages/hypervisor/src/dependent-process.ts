import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';

/**
 * Starts a program that is of use to this agent alone, such as a QEMU that is only asked what it can: the kernel ends it when the
 * agent dies, at whatever moment, so that nothing is left behind. Its environment is empty.
 */
export function spawnDependent(program: string, args: readonly string[], stdio: SpawnOptions['stdio']): ChildProcess {
  return spawn('/usr/bin/setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], { stdio, env: {} });
}
