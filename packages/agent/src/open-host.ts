import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Auditor, openAudit } from '@vmferry/audit';
import { Displays, type GuestHost, type Owner } from '@vmferry/guest';
import { type AgentLock, type AppName, type HostState, openHostState, takeAgentLock } from '@vmferry/host-state';
import type { LockDriver } from '@vmferry/locking';
import { HostInterfaces, type HostNetworks, ipLinks, noPortProfiles, parseNetworks } from '@vmferry/network';
import { type FaultPoints, systemClock, systemRandom } from '@vmferry/seams';
import type { SecurityDriver } from '@vmferry/security-label';
import { checkRuntimeDir, type Log } from '@vmferry/service';
import { CapabilityCache } from './capability-cache.js';
import { EventLog } from './events/event-log.js';
import { LifecycleEvents } from './events/lifecycle-events.js';
import { MigrateTls } from './migrate-tls.js';
import { openLocks } from './open-locks.js';
import { openSecurity } from './open-security.js';
import type { AgentOptions } from './options.js';
import { spiceTls } from './spice-tls.js';

/** A host as one of its agents has opened it. */
export interface OpenHost {
  readonly state: HostState;
  readonly lock: AgentLock;
  readonly guestHost: GuestHost;
  readonly locks: LockDriver;
  readonly auditor: Auditor;
  readonly events: LifecycleEvents;
  readonly migrateTls: MigrateTls;
  close(): Promise<void>;
}

/**
 * Opens the host for one agent: the lock file first, so that no second agent acts on the same state (handover-and-faults, "Around
 * it"), then what is on disk and the drivers that the options name.
 */
export async function openHost(
  app: AppName & `${Owner}-agent`,
  options: AgentOptions,
  faults: FaultPoints,
  log: Log,
): Promise<OpenHost> {
  checkRuntimeDir(options.runtimeDir);
  const networks = parseNetworks(options.network);
  const lock = takeAgentLock(options.stateDir, app);
  const report = (fault: { readonly path: string; readonly movedTo: string; readonly reason: string }) =>
    log.error('a document cannot be read and was set aside', { ...fault });
  const state = await openHostState({
    stateDir: options.stateDir,
    defaults: { hostName: options.hostName, random: systemRandom },
    report,
  });
  await mkdir(options.runtimeDir, { recursive: true, mode: 0o711 });
  const clock = systemClock;
  const locks = await openLocks(options, state, clock);
  const security = openSecurity(options, state, report);
  const auditor = await openAudit({
    app,
    path: join(options.stateDir, `${app}.audit`),
    copies: options.auditSink,
    clock,
    log,
  });
  const kept = EventLog.open(join(options.stateDir, `${app}.events`), (fault) =>
    log.error('lines that are no events were left out', { ...fault }),
  );
  const events = new LifecycleEvents({ kept, clock, hostName: state.identity.hostName, log });
  const capabilities = await CapabilityCache.open({ clock, emulator: options.emulator, runtimeDir: options.runtimeDir, app });
  // The first guest should not wait for the probe; what it finds wrong is told to whoever needs it.
  capabilities.of({ type: 'qemu' }).catch((error: unknown) => log.error('this host has no usable QEMU', { error }));
  const guestHost: GuestHost = {
    clock,
    faults,
    owner: app === 'source-agent' ? 'source' : 'destination',
    statuses: state.statuses,
    runtimeDir: options.runtimeDir,
    logDir: (uuid) => join(state.folders.run, uuid),
    locks,
    security,
    ...connectionsOf(options, networks, state, security),
    auditor,
    qemuUser: security.user,
    capabilities: (definition) => capabilities.of(definition),
  };
  return {
    state,
    lock,
    guestHost,
    locks,
    auditor,
    events,
    migrateTls: new MigrateTls({ dir: options.migrateTlsDir, ...readerOf(state, security) }),
    async close() {
      await auditor.close();
      kept.close();
      lock.release();
    },
  };
}

/** What guests of this host are connected to: their networks, and who looks at their screens. */
function connectionsOf(
  options: AgentOptions,
  networks: HostNetworks,
  state: HostState,
  security: SecurityDriver,
): Pick<GuestHost, 'network' | 'displays'> {
  const { hostUuid, hostName } = state.identity;
  return {
    network: new HostInterfaces({ hostUuid, networks, links: ipLinks, ports: noPortProfiles, clock: systemClock }),
    displays: new Displays({
      range: options.displayPorts,
      folder: state.folders.locks,
      tls: spiceTls({ dir: options.spiceTlsDir, ...readerOf(state, security) }),
      hostName,
    }),
  };
}

/** Who has to be able to read the certificates of QEMU, and of which host and moment they are. */
function readerOf({ identity: { hostName } }: HostState, { user: qemuUser }: SecurityDriver) {
  return { qemuUser, hostName, clock: systemClock };
}
