import { type ChildProcess, spawn } from 'node:child_process';
import { constants, writeSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { closeFd, openFile, pipe2 } from '@vmferry/posix';
import type { FaultPoints } from '@vmferry/seams';
import { identityOf, type ProcessIdentity } from './process-identity.js';

export interface LaunchOptions {
  /** As `commandLine` gives it; `argv[0]` is an absolute path. */
  readonly argv: readonly string[];
  /** QEMU's standard output and error are appended there. Made with mode 0600; a symbolic link is refused. */
  readonly logPath: string;
  /** Whom QEMU runs as; the agent must be root then. Absent: whom the agent runs as. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** What is written last before QEMU is executed, by the process that becomes QEMU: its labels. It is not executed when one is refused. */
  readonly execLabels?: readonly ExecLabel[];
  /** What it is executed behind, as whom the agent is: each word's program becomes the next by exec, in the same process. */
  readonly launcher?: readonly string[];
  /** Descriptors that QEMU gets as 4, 5, ... in this order: those of its taps, its live lock, and what else it holds. They stay open here. */
  readonly inheritFds?: readonly number[];
  /** The agent journals the process here. QEMU is executed only when this resolves; when it rejects, no QEMU comes to be. */
  readonly beforeExec: (identity: ProcessIdentity) => Promise<void>;
  readonly faults: FaultPoints;
}

/** A file of /proc/self/attr, and the label to write there (security-label's drivers know both). */
export interface ExecLabel {
  readonly attribute: string;
  readonly text: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface LaunchedProcess {
  readonly identity: ProcessIdentity;
  /** Resolves at its end; for QEMUs of this life of the agent only. The monitor's end tells it of any. */
  readonly exited: Promise<Exit>;
}

/** QEMU gets its first inherited descriptor as this one: 0 to 2 are the standard ones, 3 was the launcher's pipe. */
export const firstInheritedFd = 4;
/** Of one guest: a bound, far above what a guest has. */
export const tapsMax = 32;
const inheritedFdsMax = tapsMax + 3;

/**
 * Waits for "go" on descriptor 3. The end of the agent closes the pipe, `read` fails and nothing is executed. The umask keeps
 * QEMU's unix sockets from others (threats, row 11). Every `exec` keeps the pid that the agent has journalled.
 */
const launcherScript = 'umask 077; IFS= read -r word <&3 && [ "$word" = go ] || exit 125; exec 3<&-; exec "$@"';

/** Writes pairs of attribute and label up to "--" and executes the rest. It runs as QEMU's user already, under the agent's label still. */
const labelScript = 'while [ "$1" != -- ]; do printf %s "$2" >"$1" || exit 126; shift 2; done; shift; exec "$@"';

/** All of QEMU's environment; nothing of the agent's own reaches it. */
const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', HOME: '/' };

/**
 * Starts QEMU with the handshake before exec: an agent that dies at any moment before "go" leaves no QEMU behind
 * (handover-and-faults, "Handshake before exec"). QEMU is in a session of its own, holds no descriptor of the agent but
 * `inheritFds`, and outlives the agent.
 */
export async function launch(o: LaunchOptions): Promise<LaunchedProcess> {
  checkOptions(o);
  const { child, goFd } = spawnLauncher(o);
  const exited = exitOf(child);
  try {
    const identity = await startedIdentity(child);
    await o.faults('D5');
    await o.beforeExec(identity);
    tellToGo(goFd, identity);
    await o.faults('D6');
    return { identity, exited };
  } catch (error) {
    // A launcher that was not told to go ends as soon as the pipe closes; one that was, has become a QEMU that nobody owns.
    child.kill('SIGKILL');
    await exited.catch(() => undefined);
    throw error;
  } finally {
    closeFd(goFd);
  }
}

function tellToGo(goFd: number, { pid }: ProcessIdentity): void {
  try {
    writeSync(goFd, 'go\n');
  } catch (cause) {
    throw new VmferryError('hypervisor-failed', `The launcher of QEMU (pid ${pid}) ended before it was told to go.`, { cause });
  }
}

function checkOptions({ argv, inheritFds = [] }: LaunchOptions): void {
  const [emulator = ''] = argv;
  if (!isAbsolute(emulator))
    throw new VmferryError('internal', `QEMU is started by an absolute path, and "${emulator}" is none.`);
  const withNul = argv.findIndex((word) => word.includes('\0'));
  if (withNul !== -1) throw new VmferryError('internal', `Word ${withNul} of QEMU's command line holds a NUL.`);
  if (inheritFds.length > inheritedFdsMax) {
    throw new VmferryError('internal', `QEMU inherits at most ${inheritedFdsMax} descriptors, not ${inheritFds.length}.`);
  }
}

function spawnLauncher({ argv, logPath, user, launcher = [], inheritFds = [], execLabels = [] }: LaunchOptions): {
  child: ChildProcess;
  goFd: number;
} {
  const logFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;
  const logFd = openFile(logPath, logFlags, 0o600);
  const { read, write } = pipe2();
  try {
    const labelled = execLabels.length === 0 ? argv : [...labelWords(execLabels), ...argv];
    const privileges = privilegeOptions(user, execLabels.length > 0);
    const words = ['-c', launcherScript, 'vmferry-launcher', ...launcher, 'setpriv', ...privileges, '--', ...labelled];
    const stdio = ['ignore', logFd, logFd, read, ...inheritFds] as const;
    const child = spawn('/bin/sh', words, { detached: true, cwd: '/', env: environment, stdio: [...stdio] });
    // QEMU is to outlive the agent: it must not hold the agent's event loop either.
    child.unref();
    return { child, goFd: write };
  } catch (error) {
    closeFd(write);
    throw error;
  } finally {
    closeFd(read);
    closeFd(logFd);
  }
}

function labelWords(execLabels: readonly ExecLabel[]): string[] {
  const pairs = execLabels.flatMap(({ attribute, text }) => [attribute, text]);
  return ['/bin/sh', '-c', labelScript, 'vmferry-launcher', ...pairs, '--'];
}

/**
 * threats, row 14: no supplementary groups, no capability that could come back, no new privileges by exec. A process without new privileges may not change
 * its label by exec either (SELinux): then QEMU gives them up itself, as its sandbox does before the guest runs.
 */
function privilegeOptions(user: LaunchOptions['user'], changesLabel: boolean): string[] {
  const noNewPrivileges = changesLabel ? [] : ['--no-new-privs'];
  if (user === undefined) return noNewPrivileges;
  const identity = [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'];
  return [...identity, '--inh-caps=-all', '--bounding-set=-all', ...noNewPrivileges];
}

function exitOf(child: ChildProcess): Promise<Exit> {
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', (cause) =>
      reject(new VmferryError('hypervisor-failed', `The launcher of QEMU could not be started: ${cause.message}.`, { cause })),
    );
  });
  // Whoever launches may not look at it; a launcher that could not be spawned is reported by `startedIdentity`.
  exited.catch(() => undefined);
  return exited;
}

async function startedIdentity(child: ChildProcess): Promise<ProcessIdentity> {
  if (child.pid === undefined) {
    const cause = await new Promise<Error>((resolve) => child.once('error', resolve));
    throw new VmferryError('hypervisor-failed', `The launcher of QEMU could not be started: ${cause.message}.`, { cause });
  }
  const identity = identityOf(child.pid);
  if (identity !== null) return identity;
  throw new VmferryError('hypervisor-failed', `The launcher of QEMU (pid ${child.pid}) ended before it was told to go.`);
}
