import { chown, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { checkSupported, type DomainDefinition, formatDomain, type StateWithReason } from '@vmferry/domain';
import { Findings, VmferryError } from '@vmferry/errors';
import type { DomainStatus } from '@vmferry/host-state';
import { commandLine, killProcess, type LaunchedProcess, launch, logTail, type ProcessIdentity } from '@vmferry/hypervisor';
import { checkUnixSocketPath, closeFd } from '@vmferry/posix';
import { QmpClient } from '@vmferry/qmp';
import { labelledDomain } from '@vmferry/security-label';
import { disposeHoldings, Guest } from './guest.js';
import type { GuestHost } from './guest-host.js';
import { resourcesOf } from './holdings.js';

const greetingDeadlineMs = 10_000;

export interface StartGuest {
  readonly definition: DomainDefinition;
  readonly incoming: boolean;
  readonly persistent: boolean;
  readonly state: StateWithReason;
  readonly migration: DomainStatus['migration'];
}

/**
 * Starts the QEMU of a guest, paused. In order: labels, the live lock, the process behind its handshake with the status document
 * journalled before exec, the monitor. What was done is undone when a later part fails; the error of that part is thrown.
 */
export async function startGuest(host: GuestHost, o: StartGuest): Promise<Guest> {
  const { definition } = o;
  const { argv, paths } = await plan(host, definition, o.incoming);
  await makeFolders(host, paths);
  let started: { process: LaunchedProcess; status: DomainStatus } | null = null;
  try {
    await host.security.labelAll(labelledDomain(definition));
    await host.faults('D4');
    started = await spawn(host, o, argv, paths);
    await host.locks.register(definition.uuid, started.status.process.pid, resourcesOf(definition.uuid));
    const qmp = await QmpClient.connect({
      path: host.owner === 'source' ? paths.monitors.source : paths.monitors.destination,
      clock: host.clock,
      deadlineMs: greetingDeadlineMs,
      signal: endOf(started.process),
    });
    await host.faults('D7');
    return new Guest(host, definition, started.status, qmp);
  } catch (thrown) {
    throw await undo(host, o, paths, started, thrown);
  }
}

/** All that would be in the way of `startGuest` before QEMU itself has its say, found without changing anything. */
export async function obstaclesTo(host: GuestHost, definition: DomainDefinition): Promise<readonly VmferryError[]> {
  const findings = new Findings();
  await findings.later(() => plan(host, definition, true));
  return [...findings.errors, ...(await host.security.faults(labelledDomain(definition)))];
}

/** What QEMU is going to be executed as, and where its files are; nothing is made yet. */
async function plan(
  host: GuestHost,
  definition: DomainDefinition,
  incoming: boolean,
): Promise<{ readonly argv: readonly string[]; readonly paths: GuestPaths }> {
  checkSupported(definition);
  const capabilities = await host.capabilities(definition);
  const paths = pathsOf(host, definition.uuid);
  const { monitors, runtimeDir } = paths;
  return { argv: commandLine(definition, { incoming, monitors, capabilities, runtimeDir }).argv, paths };
}

/** Aborted when QEMU ends: nobody waits for the greeting of a QEMU that refused its command line or its disk. */
function endOf({ exited }: LaunchedProcess): AbortSignal {
  const end = new AbortController();
  void exited.then(({ code, signal }) => {
    end.abort(new VmferryError('hypervisor-failed', `QEMU ended with ${code ?? signal} before its monitor could be used.`));
  });
  return end.signal;
}

/**
 * Gives back what a start had taken when its agent ended before the status document was written: labels and the runtime folder. There is no
 * QEMU then. Only while nothing else can start this guest.
 */
export async function disposeUnstarted(
  host: GuestHost,
  definition: DomainDefinition,
  o: { readonly migrated: boolean },
): Promise<void> {
  await host.security.restoreAll(labelledDomain(definition), o);
  await rm(pathsOf(host, definition.uuid).runtimeDir, { recursive: true, force: true });
}

export interface GuestPaths {
  readonly runtimeDir: string;
  readonly logPath: string;
  readonly monitors: { readonly source: string; readonly destination: string };
}

export function pathsOf(host: GuestHost, uuid: string): GuestPaths {
  const runtimeDir = join(host.runtimeDir, uuid.slice(0, 8) + uuid.slice(-6));
  const monitors = { source: join(runtimeDir, 'source.qmp'), destination: join(runtimeDir, 'destination.qmp') };
  checkUnixSocketPath(monitors.destination);
  return { runtimeDir, logPath: join(host.logDir(uuid), 'qemu.log'), monitors };
}

/** QEMU makes its sockets itself, so the folder is its user's; nobody else may look in (threats, row 11). */
async function makeFolders(host: GuestHost, { runtimeDir, logPath }: GuestPaths): Promise<void> {
  await mkdir(dirname(logPath), { recursive: true, mode: 0o700 });
  await rm(runtimeDir, { recursive: true, force: true });
  await mkdir(runtimeDir, { recursive: true, mode: 0o700 });
  if (host.qemuUser !== null) await chown(runtimeDir, host.qemuUser.uid, host.qemuUser.gid);
}

async function spawn(
  host: GuestHost,
  o: StartGuest,
  argv: readonly string[],
  paths: GuestPaths,
): Promise<{ process: LaunchedProcess; status: DomainStatus }> {
  const liveLock = await host.locks.liveLock(o.definition.uuid);
  let status: DomainStatus | null = null;
  try {
    const process = await launch({
      argv,
      logPath: paths.logPath,
      inheritFds: liveLock === null ? [] : [liveLock],
      ...(host.qemuUser === null ? {} : { user: host.qemuUser }),
      faults: host.faults,
      beforeExec: async (identity) => {
        status = statusOf(host, o, paths, identity);
        await host.statuses.write(status);
      },
    });
    return { process, status: status ?? statusOf(host, o, paths, process.identity) };
  } finally {
    if (liveLock !== null) closeFd(liveLock);
  }
}

function statusOf(host: GuestHost, o: StartGuest, paths: GuestPaths, process: ProcessIdentity): DomainStatus {
  return {
    uuid: o.definition.uuid,
    name: o.definition.name,
    owner: host.owner,
    persistent: o.persistent,
    state: o.state.state,
    reason: o.state.reason,
    process,
    monitors: paths.monitors,
    logPath: paths.logPath,
    runtimeDir: paths.runtimeDir,
    migration: o.migration,
    tainted: [],
    domainXml: formatDomain(o.definition),
  };
}

async function undo(
  host: GuestHost,
  o: StartGuest,
  paths: GuestPaths,
  started: { process: LaunchedProcess; status: DomainStatus } | null,
  thrown: unknown,
): Promise<VmferryError> {
  let error = VmferryError.from(thrown);
  if (started !== null) {
    await killProcess(started.process.identity);
    const tail = await logTail(paths.logPath);
    if (tail !== '')
      error = new VmferryError(error.code, `${error.message} QEMU's log ends with: ${tail.trim()}`, {
        cause: thrown,
        data: error.data,
      });
  }
  const status = started?.status ?? statusOf(host, o, paths, { pid: 0, startTimeTicks: '', bootId: '' });
  // The guest that was to come in still runs on its source, with the same disks.
  await disposeHoldings(host, o.definition, status, { migrated: o.incoming }).catch((later: unknown) =>
    error.suppress(later, host.clock.wall()),
  );
  return error;
}
