import { constants } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { checkSupported, type DomainDefinition, formatDomain, graphicsOf, type StateWithReason, tapsOf } from '@vmferry/domain';
import { Findings, VmferryError } from '@vmferry/errors';
import type { DomainStatus, StatusFile } from '@vmferry/host-state';
import {
  commandLine,
  killProcess,
  type LaunchedProcess,
  launch,
  logTail,
  type ProcessIdentity,
  setDisplayPassword,
} from '@vmferry/hypervisor';
import { checkUnixSocketPath, closeFd, openFile } from '@vmferry/posix';
import { checkModels, labelledDomain } from '@vmferry/security-label';
import { connectMonitor } from './connect-monitor.js';
import type { PlacedDisplay } from './displays.js';
import { Guest } from './guest.js';
import type { GuestHost } from './guest-host.js';
import { resourcesOf } from './holdings.js';

const greetingDeadlineMs = 10_000;

export interface StartGuest {
  /** The definition with the ports of its display, which stay the caller's to close. */
  readonly placed: PlacedDisplay;
  readonly incoming: boolean;
  readonly persistent: boolean;
  readonly state: StateWithReason;
  readonly migration: DomainStatus['migration'];
  /** The image that it comes from, when it comes in from a file: nobody else has its disks then. */
  readonly file?: StatusFile;
}

/** What this very start has made, and so may undo. */
interface Made {
  /** Files that were not the guest's before; null until the guest has its label. */
  labelled: readonly string[] | null;
  /** The devices of its interfaces. */
  connected: boolean;
  /** The status document, once it is on disk. */
  status: DomainStatus | null;
  process: LaunchedProcess | null;
}

/**
 * Starts the QEMU of a guest, paused. In order: the live lock, so that neither of the host's agents touches what the other is about to start;
 * its label and those of its files; what its interfaces are connected to, which a guest that comes in is not online with yet; the process behind its handshake with the status
 * document journalled before exec; the monitor, and through it the password of the display. When a later part fails, what this start has made is undone and
 * nothing else; the error of that part is thrown. Throws `lease-busy` when the guest is being started, or runs, already.
 */
export async function startGuest(host: GuestHost, o: StartGuest): Promise<Guest> {
  const definition = host.network.resolve(o.placed.definition);
  const { argv, paths } = await plan(host, definition, o.incoming);
  for (const fault of await host.network.faults(definition)) throw fault;
  const liveLock = await host.locks.liveLock(definition.uuid);
  try {
    if ((await host.statuses.read(definition.uuid)) !== null) throw startedAlready(definition);
    return await startLocked(host, { ...o, placed: { ...o.placed, definition } }, argv, paths, liveLock);
  } finally {
    if (liveLock !== null) closeFd(liveLock);
  }
}

async function startLocked(
  host: GuestHost,
  o: StartGuest,
  argv: readonly string[],
  paths: GuestPaths,
  liveLock: number | null,
): Promise<Guest> {
  const { definition } = o.placed;
  const graphics = graphicsOf(definition);
  const made: Made = { labelled: null, connected: false, status: null, process: null };
  try {
    await makeFolders(paths);
    const domain = labelledDomain(definition);
    made.labelled = await host.security.labelAll(domain);
    await host.security.labelOwn(domain, { folder: paths.runtimeDir, log: paths.logPath });
    if (liveLock !== null) await host.security.labelImageFd(domain, liveLock);
    await host.faults('D4');
    const status = await spawnConnected(host, o, argv, paths, liveLock, made);
    await host.locks.register(definition.uuid, status.process.pid, resourcesOf(definition.uuid));
    const end = made.process === null ? {} : { signal: endOf(made.process) };
    const qmp = await connectMonitor(host, status, { deadlineMs: greetingDeadlineMs, ...end });
    if (graphics !== undefined) await setDisplayPassword(qmp, graphics);
    await host.faults('D7');
    if (!o.incoming) await host.network.goOnline(definition);
    return new Guest(host, definition, status, qmp, await host.security.labelsOf(definition));
  } catch (thrown) {
    throw await undo(host, o, paths, made, thrown);
  }
}

export function startedAlready({ name, uuid }: DomainDefinition): VmferryError {
  return new VmferryError('lease-busy', `The guest ${name} (${uuid}) is being started on this host already.`, {
    data: { resource: `vm:${uuid}` },
  });
}

/** All that would be in the way of `startGuest` before QEMU itself has its say, found without changing anything. */
export async function obstaclesTo(host: GuestHost, definition: DomainDefinition): Promise<readonly VmferryError[]> {
  const findings = new Findings();
  const resolved = findings.of(() => host.network.resolve(definition));
  if (resolved !== undefined)
    await findings.later(async () => {
      const placed = await host.displays.place(resolved);
      placed.close();
      await plan(host, placed.definition, true);
    });
  const unconnected = resolved === undefined ? [] : await host.network.faults(resolved);
  return [...findings.errors, ...unconnected, ...(await host.security.faults(labelledDomain(definition)))];
}

/** What QEMU is going to be executed as, and where its files are; nothing is made yet. */
async function plan(
  host: GuestHost,
  definition: DomainDefinition,
  incoming: boolean,
): Promise<{ readonly argv: readonly string[]; readonly paths: GuestPaths }> {
  checkSupported(definition);
  checkModels(labelledDomain(definition), host.security.models);
  const capabilities = await host.capabilities(definition);
  const paths = pathsOf(host, definition.uuid);
  const { monitors, runtimeDir } = paths;
  return {
    argv: commandLine(definition, { incoming, monitors, capabilities, spiceTlsDir: host.displays.tlsDir, runtimeDir }).argv,
    paths,
  };
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
 * Gives back what a start had taken when its agent ended before the status document was written: labels, network devices and the runtime folder. There is no
 * QEMU then. When the host's other agent starts this guest by now, these are its own, and stay.
 */
export async function disposeUnstarted(
  host: GuestHost,
  definition: DomainDefinition,
  o: { readonly migrated: boolean },
): Promise<void> {
  await unlessStarted(host, definition.uuid, async () => {
    await host.security.restoreAll(labelledDomain(definition), o);
    await host.network.remove(definition);
    await rm(pathsOf(host, definition.uuid).runtimeDir, { recursive: true, force: true });
  });
}

/** The same of its network devices alone: where the guest may run by now is not known, and its files are in use there. */
export async function removeUnstartedDevices(host: GuestHost, definition: DomainDefinition): Promise<void> {
  if (tapsOf(definition).length === 0) return;
  await unlessStarted(host, definition.uuid, () => host.network.remove(definition));
}

async function unlessStarted(host: GuestHost, uuid: string, act: () => Promise<void>): Promise<void> {
  let liveLock: number | null;
  try {
    liveLock = await host.locks.liveLock(uuid);
  } catch (thrown) {
    if (VmferryError.is(thrown, 'lease-busy')) return;
    throw thrown;
  }
  try {
    if ((await host.statuses.read(uuid)) === null) await act();
  } finally {
    if (liveLock !== null) closeFd(liveLock);
  }
}

export interface GuestPaths {
  readonly runtimeDir: string;
  readonly logPath: string;
  readonly monitors: { readonly source: string; readonly destination: string };
}

/** The folder is named by the whole uuid, and the monitors are short: below 60 bytes (`runtimeDirBytesMax`) a path has 101 of its 107. */
export function pathsOf(host: GuestHost, uuid: string): GuestPaths {
  const runtimeDir = join(host.runtimeDir, uuid.replaceAll('-', ''));
  const monitors = { source: join(runtimeDir, 'src.qmp'), destination: join(runtimeDir, 'dst.qmp') };
  checkUnixSocketPath(monitors.destination);
  return { runtimeDir, logPath: join(host.logDir(uuid), 'qemu.log'), monitors };
}

/** QEMU makes its sockets itself, so the folder becomes its user's (`labelOwn`); nobody else may look in (threats, row 11). */
async function makeFolders({ runtimeDir, logPath }: GuestPaths): Promise<void> {
  await mkdir(dirname(logPath), { recursive: true, mode: 0o700 });
  await rm(runtimeDir, { recursive: true, force: true });
  await mkdir(runtimeDir, { recursive: true, mode: 0o700 });
  closeFd(openFile(logPath, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW, 0o600));
}

/** QEMU holds the devices of its interfaces by their descriptors; here they are closed, whatever has come of it. */
async function spawnConnected(
  host: GuestHost,
  o: StartGuest,
  argv: readonly string[],
  paths: GuestPaths,
  liveLock: number | null,
  made: Made,
): Promise<DomainStatus> {
  const taps = await host.network.open(o.placed.definition);
  made.connected = true;
  try {
    return await spawn(host, o, argv, paths, [...taps, ...(liveLock === null ? [] : [liveLock]), ...o.placed.locks], made);
  } finally {
    for (const tap of taps) closeFd(tap);
  }
}

/** The status document is made, never replaced: that of another start makes this one fail before there is a QEMU. */
async function spawn(
  host: GuestHost,
  o: StartGuest,
  argv: readonly string[],
  paths: GuestPaths,
  inheritFds: readonly number[],
  made: Made,
): Promise<DomainStatus> {
  made.process = await launch({
    argv,
    logPath: paths.logPath,
    launcher: host.locks.launcher,
    inheritFds,
    ...(host.qemuUser === null ? {} : { user: host.qemuUser }),
    execLabels: await host.security.execLabels(o.placed.definition),
    faults: host.faults,
    beforeExec: async (identity) => {
      const status = statusOf(host, o, paths, identity);
      if (!(await host.statuses.create(status))) throw startedAlready(o.placed.definition);
      made.status = status;
    },
  });
  return made.status ?? statusOf(host, o, paths, made.process.identity);
}

function statusOf(host: GuestHost, o: StartGuest, paths: GuestPaths, process: ProcessIdentity): DomainStatus {
  return {
    uuid: o.placed.definition.uuid,
    name: o.placed.definition.name,
    owner: host.owner,
    persistent: o.persistent,
    state: o.state.state,
    reason: o.state.reason,
    process,
    monitors: paths.monitors,
    logPath: paths.logPath,
    runtimeDir: paths.runtimeDir,
    migration: o.migration,
    ...(o.file === undefined ? {} : { file: o.file }),
    tainted: [],
    domainXml: formatDomain(o.placed.definition),
  };
}

async function undo(host: GuestHost, o: StartGuest, paths: GuestPaths, made: Made, thrown: unknown): Promise<VmferryError> {
  let error = VmferryError.from(thrown);
  if (made.process !== null) {
    await killProcess(made.process.identity);
    error = explained(o.placed.definition, error, thrown, (await logTail(paths.logPath)).trim());
  }
  await giveBack(host, o, paths, made).catch((later: unknown) => error.suppress(later, host.clock.wall()));
  return error;
}

/** QEMU tells in its log why it ended; of a guest that never ran it is no news that it is gone. */
function explained({ name }: DomainDefinition, error: VmferryError, cause: unknown, tail: string): VmferryError {
  if (tail === '') return error;
  if (/Failed to get .*lock/.test(tail)) {
    const detail = `A disk of ${name} is in use by another QEMU, as it is when the guest runs on another host: nothing was started here. QEMU's log ends with: ${tail}`;
    return new VmferryError('domain-elsewhere', detail, { cause });
  }
  const code = error.code === 'guest-gone' ? 'hypervisor-failed' : error.code;
  return new VmferryError(code, `${error.message} QEMU's log ends with: ${tail}`, { cause, data: error.data });
}

/** Of a guest that was to come in, the source goes on writing to the same disks: they keep their owner. */
async function giveBack(host: GuestHost, { placed, incoming, file }: StartGuest, paths: GuestPaths, made: Made): Promise<void> {
  const { definition } = placed;
  // Without a live lock (no lock driver) another start can have come first: then folder and labels are that guest's.
  if (made.status === null && (await host.statuses.read(definition.uuid)) !== null) return;
  const domain = labelledDomain(definition);
  if (made.labelled !== null) {
    if (!incoming || file !== undefined) for (const path of made.labelled) await host.security.restorePath(domain, path);
    await host.security.release(domain);
  }
  if (made.connected) await host.network.remove(definition);
  await rm(paths.runtimeDir, { recursive: true, force: true });
  if (made.status !== null) await host.statuses.remove(definition.uuid);
}
