import { realpath } from 'node:fs/promises';
import { type DomainDefinition, formatDomain, graphicsOf, placeDisplay, type StateWithReason } from '@vmferry/domain';
import { VmferryError } from '@vmferry/errors';
import type { DomainStatus } from '@vmferry/host-state';
import {
  commandLine,
  displayPortsOf,
  identityOf,
  isTerminal,
  missingForMigration,
  type ProcessIdentity,
} from '@vmferry/hypervisor';
import { closeFd, lockedFiles, processExecutable } from '@vmferry/posix';
import { QmpClient } from '@vmferry/qmp';
import { differencesOf } from './compare-guest.js';
import { Guest } from './guest.js';
import type { GuestHost } from './guest-host.js';
import { resourcesOf } from './holdings.js';
import { pathsOf, startedAlready } from './start-guest.js';

/** A QEMU of this host that something else has started. */
export interface ForeignQemu {
  /** Its machine is resolved and its addresses are assigned. */
  readonly definition: DomainDefinition;
  readonly pid: number;
  /** The path of its one monitor. */
  readonly monitor: string;
}

/** One that was found to be what the caller says; only its monitor was connected to. */
export interface ExaminedQemu extends ForeignQemu {
  readonly process: ProcessIdentity;
  readonly qmp: QmpClient;
  readonly state: StateWithReason;
}

const greetingDeadlineMs = 3_000;

/** The name under which QEMU keeps the live lock's descriptor; it outlives the agent's connection (toolchain, Descriptors). */
const liveLockName = 'vmferry-live-lock';

/**
 * Checks in full, and changes nothing: the process is a QEMU of this host's emulator, the monitor is its own, and what the monitor tells is
 * what the definition says. Throws `attach-mismatch`, `hypervisor-unsupported`, `device-unsupported`, `monitor-failed` and
 * `monitor-timeout`, which a monitor with another client on it brings too.
 */
export async function examineQemu(host: GuestHost, foreign: ForeignQemu): Promise<ExaminedQemu> {
  const { pid, monitor } = foreign;
  const capabilities = await host.capabilities(foreign.definition);
  const process = await runningEmulator(pid, foreign.definition.emulator ?? capabilities.emulator);
  const qmp = await QmpClient.connect({ path: monitor, clock: host.clock, deadlineMs: greetingDeadlineMs });
  try {
    const listener = qmp.listenerPid;
    if (listener !== pid) throw mismatch(`The monitor ${monitor} is that of process ${listener}, not of ${pid}.`);
    const definition = await displayed(foreign.definition, qmp);
    const { monitors, runtimeDir } = pathsOf(host, definition.uuid);
    // What could not be started here has no way to another host either.
    commandLine(host.network.resolve(definition), {
      incoming: false,
      monitors,
      capabilities,
      spiceTlsDir: host.displays.tlsDir,
      runtimeDir,
    });
    const differences = await differencesOf(definition, qmp);
    if (differences.length > 0) throw mismatch(`This QEMU is another guest: ${differences[0]}.`, { differences });
    const missing = await missingForMigration(qmp);
    if (missing.length > 0)
      throw new VmferryError('hypervisor-unsupported', `This QEMU cannot migrate safely: it lacks ${missing.join(', ')}.`);
    return { ...foreign, definition, process, qmp, state: await stateOf(qmp) };
  } catch (thrown) {
    qmp.close();
    throw thrown;
  }
}

/**
 * Makes it a guest of this host: status document, live lock, what QEMU does at the guest's end. It keeps its files' owners. What was
 * done is undone when a later part fails; QEMU itself goes on in any case.
 */
export async function attachGuest(host: GuestHost, { definition, process, qmp, state, monitor }: ExaminedQemu): Promise<Guest> {
  const { runtimeDir, logPath } = pathsOf(host, definition.uuid);
  const status: DomainStatus = {
    uuid: definition.uuid,
    name: definition.name,
    owner: host.owner,
    persistent: false,
    ...state,
    process,
    // It has one. The destination-agent never looks at a guest that it did not let in.
    monitors: { source: monitor, destination: monitor },
    logPath,
    runtimeDir,
    migration: null,
    tainted: ['external-launch'],
    domainXml: formatDomain(definition),
  };
  if (!(await host.statuses.create(status))) throw startedAlready(definition);
  const guest = new Guest(host, definition, status, qmp, []);
  try {
    await giveLiveLock(host, definition.uuid, qmp);
    await host.locks.register(definition.uuid, process.pid, resourcesOf(definition.uuid));
    // As our command line has it: QEMU stays until this agent has seen how its guest ended.
    const reboot = definition.onReboot === 'restart' ? 'reset' : 'shutdown';
    await qmp.execute('set-action', { reboot, shutdown: 'pause', panic: 'pause' });
    return guest;
  } catch (thrown) {
    await detachGuest(host, guest);
    throw thrown;
  }
}

/** Lets go of what `attachGuest` took; QEMU goes on without this host's agent. */
export async function detachGuest(host: GuestHost, guest: Guest): Promise<void> {
  // One that has ended holds nothing, and one that was not given the lock has none to give back.
  await guest.qmp.execute('closefd', { fdname: liveLockName }).catch(() => undefined);
  guest.handOver();
  await host.statuses.remove(guest.uuid);
}

/** QEMU holds the live lock by descriptor, as it would by inheritance. Throws `lease-busy` when another process holds it. */
async function giveLiveLock(host: GuestHost, uuid: string, qmp: QmpClient): Promise<void> {
  const fd = await host.locks.liveLock(uuid);
  if (fd === null) return;
  try {
    await qmp.execute('getfd', { fdname: liveLockName }, { fd });
  } finally {
    closeFd(fd);
  }
}

/**
 * What a person should know of a guest that something else has started, from a look at its process now; null when there is nothing.
 * A writable image without QEMU's own lock can be written to by another host.
 */
export async function caveatOf({ definition, status }: Guest): Promise<string | null> {
  if (!status.tainted.includes('external-launch')) return null;
  const disks = definition.devices.filter((device) => device.t === 'disk');
  try {
    const locked = lockedFiles(status.process.pid) ?? [];
    const unlocked: string[] = [];
    for (const { source, readonly, targetDev } of disks) {
      if (source !== undefined && !readonly && !locked.includes(await realpath(source))) unlocked.push(targetDev);
    }
    if (unlocked.length === 0) return null;
    return `QEMU holds no image lock on ${unlocked.join(', ')}: nothing keeps another host from writing to it.`;
  } catch (thrown) {
    return `Whether QEMU holds its image locks cannot be seen: ${VmferryError.from(thrown).message}`;
  }
}

/** The definition with the ports that its display really has, where it leaves them to the host. */
async function displayed(definition: DomainDefinition, qmp: QmpClient): Promise<DomainDefinition> {
  const graphics = graphicsOf(definition);
  return graphics?.autoport === true ? placeDisplay(definition, await displayPortsOf(qmp, graphics)) : definition;
}

async function runningEmulator(pid: number, emulator: string): Promise<ProcessIdentity> {
  const process = identityOf(pid);
  const program = process === null ? null : processExecutable(pid);
  if (process === null || program === null) throw mismatch(`There is no process ${pid} on this host.`);
  const expected = await realpath(emulator);
  // The kernel says so of a program whose file was replaced since, as by an upgrade.
  if (program.replace(/ \(deleted\)$/, '') === expected) return process;
  throw mismatch(`Process ${pid} executes ${program}, not the emulator ${expected} of this definition.`);
}

async function stateOf(qmp: QmpClient): Promise<StateWithReason> {
  const [{ status }, migration] = await Promise.all([qmp.execute('query-status', {}), qmp.execute('query-migrate', {})]);
  if (migration.status !== undefined && !isTerminal(migration.status))
    throw mismatch(`This QEMU is being migrated by somebody else: its migration is ${migration.status}.`);
  if (status === 'running') return { state: 'running', reason: 'unknown' };
  if (status === 'paused' || status === 'prelaunch') return { state: 'paused', reason: 'unknown' };
  throw mismatch(`This QEMU is ${status}; only a guest that runs or is paused is attached.`);
}

function mismatch(detail: string, data: Readonly<Record<string, unknown>> = {}): VmferryError {
  return new VmferryError('attach-mismatch', detail, { data });
}
