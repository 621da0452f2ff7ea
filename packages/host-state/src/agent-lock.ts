import { constants, fstatSync, ftruncateSync, mkdirSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { closeFd, flockExclusive, openFile } from '@vmferry/posix';

export type AppName = 'source-agent' | 'destination-agent' | 'tunnel-relay';

/** The lock that says that this process is the one `app` of a state folder; held until `release` or the end of the process. */
export interface AgentLock {
  readonly path: string;
  /** False when the lock file was removed or replaced: then another process may hold one of the same name. */
  holds(): boolean;
  release(): void;
}

/**
 * Takes the lock, so that a hung predecessor and its successor never both act (handover-and-faults, "Around it"). Throws
 * `agent-running` naming the pid of the holder, and `system-call-failed`.
 */
export function takeAgentLock(stateDir: string, app: AppName): AgentLock {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const path = join(stateDir, `${app}.lock`);
  const fd = openFile(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  if (!flockExclusive(fd)) {
    closeFd(fd);
    throw running(path, app);
  }
  // For the message of a successor alone: the lock itself is the flock.
  ftruncateSync(fd);
  writeSync(fd, `${process.pid}\n`, 0);
  let held = true;
  return {
    path,
    holds: () => held && isFileAt(path, fd),
    release: () => {
      if (held) closeFd(fd);
      held = false;
    },
  };
}

function isFileAt(path: string, fd: number): boolean {
  const there = statSync(path, { throwIfNoEntry: false });
  const ours = fstatSync(fd);
  return there !== undefined && there.ino === ours.ino && there.dev === ours.dev;
}

function running(path: string, app: AppName): VmferryError {
  const text = readFileSync(path, 'utf8').trim();
  const pid = /^\d{1,10}$/.test(text) ? Number(text) : null;
  const who = pid === null ? 'another process' : `process ${pid}`;
  return new VmferryError('agent-running', `The ${app} of this state folder runs already: ${who} holds ${path}. Stop it first.`, {
    data: { path, ...(pid === null ? {} : { pid }) },
  });
}
