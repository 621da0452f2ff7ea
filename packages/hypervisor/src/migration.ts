import { isIP } from 'node:net';
import { isAbsolute } from 'node:path';
import { VmferryError } from '@vmferry/errors';
import { checkUnixSocketPath, setNonBlocking } from '@vmferry/posix';
import type { MigrationInfo, MigrationStatus as QemuMigrationStatus, QmpClient } from '@vmferry/qmp';
import { type MigrationTls, setMigrationTls } from './migration-tls.js';

export interface MigrationLimits {
  /** 1 to 2^40. */
  readonly bandwidthBytesPerSec?: number;
  /** 1 to 2,000,000, QEMU's own limit. */
  readonly downtimeLimitMs?: number;
}

/** More than any link or memory carries. QEMU's own default, 128 MiB/s, would be a limit that nobody has asked for. */
export const bandwidthBytesPerSecMax = 2 ** 40;
const downtimeLimitMsMax = 2_000_000;

/** What both sides switch on: MIGRATION events, `completed` only when the destination has loaded (M2), image locks at `cont` (e1). */
export const capabilitiesNeeded = ['events', 'return-path', 'late-block-activate'] as const;

/** What a parallel migration needs besides. */
export const multifd = 'multifd';

/** What of it a QEMU that is already there does not have; with `parallel` also what that needs. */
export async function missingForMigration(qmp: QmpClient, o: { readonly parallel?: boolean } = {}): Promise<string[]> {
  const has = await qmp.execute('query-migrate-capabilities', {});
  const needed = [...capabilitiesNeeded, ...(o.parallel === true ? [multifd] : [])];
  return needed.filter((name) => !has.some(({ capability }) => capability === name));
}

/**
 * `channels`: those of multifd beside the main one; null for one stream. A capability outlives the migration that it was set for, and its agent: so each
 * migration says it for itself.
 */
export async function enableMigrationCapabilities(qmp: QmpClient, channels: number | null = null): Promise<void> {
  const has = await qmp.execute('query-migrate-capabilities', {});
  const wasParallel = has.find(({ capability }) => capability === multifd)?.state === true;
  const capabilities = [
    ...capabilitiesNeeded.map((capability) => ({ capability, state: true })),
    ...(wasParallel === (channels !== null) ? [] : [{ capability: multifd, state: channels !== null } as const]),
  ];
  await qmp.execute('migrate-set-capabilities', { capabilities });
  if (channels !== null) await qmp.execute('migrate-set-parameters', { 'multifd-channels': channels });
}

/** Readies the QEMU of a source. Without a bandwidth the migration takes what it gets. */
export async function prepareMigration(
  qmp: QmpClient,
  {
    tls,
    channels = null,
    ...limits
  }: MigrationLimits & { readonly downtimeLimitMs: number; readonly tls: MigrationTls | null; readonly channels?: number | null },
): Promise<void> {
  // QEMU takes the commands of one monitor in their order; none of these waits for the answer of another.
  await Promise.all([
    enableMigrationCapabilities(qmp, channels),
    setMigrationLimits(qmp, { bandwidthBytesPerSec: bandwidthBytesPerSecMax, ...limits }),
    setMigrationTls(qmp, tls),
  ]);
}

/** May be called at any time, also while the migration runs. */
export async function setMigrationLimits(
  qmp: QmpClient,
  { bandwidthBytesPerSec, downtimeLimitMs }: MigrationLimits,
): Promise<void> {
  checkLimit('bandwidthBytesPerSec', bandwidthBytesPerSec, bandwidthBytesPerSecMax);
  checkLimit('downtimeLimitMs', downtimeLimitMs, downtimeLimitMsMax);
  await qmp.execute('migrate-set-parameters', {
    ...(bandwidthBytesPerSec === undefined ? {} : { 'max-bandwidth': bandwidthBytesPerSec }),
    ...(downtimeLimitMs === undefined ? {} : { 'downtime-limit': downtimeLimitMs }),
  });
}

function checkLimit(name: string, value: number | undefined, max: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= max)) return;
  throw new VmferryError('invalid-argument', `${name} is ${value}; give a whole number from 1 to ${max}.`, {
    data: { name, value, max },
  });
}

/** A descriptor on its way to a QEMU. */
export interface HandedFd {
  readonly fd: number;
  /** Under which QEMU keeps it: lower-case letters, digits and dashes. */
  readonly name: string;
  /** Gives it the label with which this QEMU may use it (S51); it is not handed over when this rejects. */
  readonly label: (fd: number) => Promise<void>;
}

/**
 * Starts the migration into `fd`, a connected socket: a pipe would hang QEMU when its reader stalls (F, H). QEMU gets a copy; ours
 * stays ours to close, and from then on QEMU sets O_NONBLOCK for both as it likes.
 */
export function migrateToFd(qmp: QmpClient, handed: HandedFd): Promise<void> {
  return withNamedFd(qmp, handed, async (uri) => void (await qmp.execute('migrate', { uri })));
}

/** Lets a QEMU that was started with `-incoming defer` read its guest from `fd`. The same holds for `fd` as above. */
export function incomingFromFd(qmp: QmpClient, handed: HandedFd): Promise<void> {
  return withNamedFd(qmp, handed, async (uri) => void (await qmp.execute('migrate-incoming', { uri })));
}

/**
 * Multifd makes its connections by itself, which no descriptor can stand for: QEMU connects to `path`, a unix socket of the agent's own, first for its
 * main channel, and for the others when that has been accepted.
 */
export async function migrateToSocket(qmp: QmpClient, path: string): Promise<void> {
  await qmp.execute('migrate', { uri: unixUri(path) });
}

/**
 * Lets a QEMU that was started with `-incoming defer` listen on `path` for as many channels as it was told, the main one first. N.B. A QEMU with a
 * connection on which nothing has come yet waits for its first bytes, and its monitor with it.
 */
export async function incomingFromSocket(qmp: QmpClient, path: string): Promise<void> {
  await qmp.execute('migrate-incoming', { uri: unixUri(path) });
}

function unixUri(path: string): string {
  checkUnixSocketPath(path);
  if (!isAbsolute(path))
    throw new VmferryError('internal', `The socket of a migration has an absolute path, and "${path}" is none.`);
  return `unix:${path}`;
}

/**
 * Lets a QEMU that was started with `-incoming defer` listen for its guest. Throws `port-busy` when the port is taken: it may be told another one
 * then.
 */
export async function incomingFromPort(qmp: QmpClient, address: string, port: number): Promise<void> {
  const isHost = isIP(address) !== 0 || /^[0-9A-Za-z.-]{1,255}$/.test(address);
  if (!isHost || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw new VmferryError('internal', `QEMU cannot listen on ${JSON.stringify(address)}, port ${port}.`);
  const host = address.includes(':') ? `[${address}]` : address;
  try {
    await qmp.execute('migrate-incoming', { uri: `tcp:${host}:${port}` });
  } catch (thrown) {
    if (!VmferryError.is(thrown, 'monitor-failed') || !String(thrown.data.desc).includes('Address already in use')) throw thrown;
    throw new VmferryError('port-busy', `The migration port ${port} on ${address} is taken by something else.`, {
      cause: thrown,
    });
  }
}

/** Here and above, in three places, all migration URIs are made, and only of these forms: QEMU runs commands for others (threats, row 7). */
async function withNamedFd(qmp: QmpClient, { fd, name, label }: HandedFd, act: (uri: string) => Promise<void>): Promise<void> {
  if (!/^[a-z][a-z0-9-]{0,62}$/.test(name)) {
    throw new VmferryError('internal', `"${name}" cannot name a descriptor: use lower-case letters, digits and dashes.`);
  }
  await label(fd);
  await qmp.execute('getfd', { fdname: name }, { fd });
  try {
    // `getfd` clears O_NONBLOCK, and QEMU sets it nowhere before its TLS handshake: a peer that says nothing would hold its main loop, and the guest with it.
    setNonBlocking(fd, true);
    await act(`fd:${name}`);
  } catch (error) {
    // QEMU takes the descriptor out of its list when it uses it, so this fails when it got that far.
    await qmp.execute('closefd', { fdname: name }).catch(() => undefined);
    throw error;
  }
}

export type TerminalMigrationStatus = 'none' | 'completed' | 'failed' | 'cancelled';

export function isTerminal(status: QemuMigrationStatus): status is TerminalMigrationStatus {
  return status === 'none' || status === 'completed' || status === 'failed' || status === 'cancelled';
}

/** A unix socket lets a cancel through in milliseconds (E); a hung peer behind a full socket is cut by closing the socket first. */
export const cancelDeadlineMsDefault = 30_000;

/**
 * Cancels and waits for QEMU's own last word. It is a request: the answer may be `completed`, and then the migration has happened.
 * `none`: there was none. Throws `monitor-timeout` when QEMU reports no end in time, and nothing is known then.
 */
export async function cancelMigration(
  qmp: QmpClient,
  o: { readonly deadlineMs?: number } = {},
): Promise<TerminalMigrationStatus> {
  const { deadlineMs = cancelDeadlineMsDefault } = o;
  const giveUp = new AbortController();
  const ended = qmp.waitFor('MIGRATION', (event) => isTerminal(event.data.status), { deadlineMs, signal: giveUp.signal });
  ended.catch(() => undefined);
  try {
    await qmp.execute('migrate_cancel', {});
    const before = await migrationStatus(qmp);
    if (isTerminal(before.status)) return before.status;
    await ended;
    const { status } = await migrationStatus(qmp);
    if (isTerminal(status)) return status;
    throw new VmferryError('monitor-failed', `QEMU told of an end of its migration and then calls it ${status}.`);
  } finally {
    giveUp.abort();
  }
}

/** What QEMU says of its migration, with units in the names. What it does not say (yet) is absent. */
export interface MigrationStatus {
  readonly status: QemuMigrationStatus;
  readonly ram?: {
    readonly totalBytes: number;
    readonly transferredBytes: number;
    readonly remainingBytes: number;
    /** Pages of one value, of which only the value was sent. */
    readonly duplicatePages: number;
    readonly normalPages: number;
    readonly pageBytes: number;
    readonly dirtyPagesPerSec: number;
    /** Megabits, as QEMU counts. */
    readonly throughputMbitPerSec: number;
    /** Passes over the guest's memory, from 1. */
    readonly iteration: number;
  };
  readonly totalTimeMs?: number;
  readonly expectedDowntimeMs?: number;
  /** N.B. QEMU's own figure; wrong when something else has stopped the guest (T4). */
  readonly downtimeMs?: number;
  readonly setupTimeMs?: number;
  readonly errorDesc?: string;
}

export async function migrationStatus(qmp: QmpClient): Promise<MigrationStatus> {
  const info = await qmp.execute('query-migrate', {});
  return {
    status: info.status ?? 'none',
    ...(info.ram === undefined ? {} : { ram: ramOf(info.ram) }),
    ...(info['total-time'] === undefined ? {} : { totalTimeMs: info['total-time'] }),
    ...(info['expected-downtime'] === undefined ? {} : { expectedDowntimeMs: info['expected-downtime'] }),
    ...(info.downtime === undefined ? {} : { downtimeMs: info.downtime }),
    ...(info['setup-time'] === undefined ? {} : { setupTimeMs: info['setup-time'] }),
    ...(info['error-desc'] === undefined ? {} : { errorDesc: info['error-desc'] }),
  };
}

function ramOf(ram: NonNullable<MigrationInfo['ram']>): NonNullable<MigrationStatus['ram']> {
  return {
    totalBytes: ram.total,
    transferredBytes: ram.transferred,
    remainingBytes: ram.remaining,
    duplicatePages: ram.duplicate,
    normalPages: ram.normal,
    pageBytes: ram['page-size'],
    dirtyPagesPerSec: ram['dirty-pages-rate'],
    throughputMbitPerSec: ram.mbps,
    iteration: ram['dirty-sync-count'],
  };
}

/**
 * True when an incoming QEMU holds the whole guest, so that `cont` runs it. Before that `cont` is accepted too, and the guest then
 * starts by itself at some later moment (T1).
 */
export async function isLoaded(qmp: QmpClient): Promise<boolean> {
  const { status } = await qmp.execute('query-migrate', {});
  if (status !== 'completed') return false;
  return (await qmp.execute('query-status', {})).status !== 'inmigrate';
}
