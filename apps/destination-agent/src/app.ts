import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import {
  type AgentOptions,
  eventRoutes,
  featuresOf,
  MigrationMetrics,
  migrationReadRoutes,
  openHost,
  Peers,
  Protocols,
} from '@vmferry/agent';
import { features, type VersionReply } from '@vmferry/api';
import { RelayClient, SourceAgentClient } from '@vmferry/client';
import type { PortRange } from '@vmferry/guest';
import { DocumentStore, type HostState } from '@vmferry/host-state';
import type { Protocol } from '@vmferry/migration';
import { type FaultPoints, systemClock, systemRandom } from '@vmferry/seams';
import {
  ControlSessions,
  createService,
  type Log,
  loadAuthenticator,
  Metrics,
  openTlsIdentity,
  parseListenAddress,
  type RunningApp,
  sessionRoutes,
} from '@vmferry/service';
import type { DestinationContext } from './context.js';
import { type IncomingJournal, incomingJournal } from './incoming/incoming-journal.js';
import { Incomings, recordsMax } from './incoming/incomings.js';
import { Listening } from './incoming/listening.js';
import { MigrationPorts } from './incoming/migration-ports.js';
import { tombstonesMax } from './incoming/tombstones.js';
import { checkRoute } from './routes/check-route.js';
import { recordRoutes } from './routes/record-routes.js';
import { stepRoutes } from './routes/step-routes.js';
import { streamRoute } from './routes/stream-route.js';

export interface DestinationOptions extends AgentOptions {
  readonly sourceAgent?: string;
  readonly attachTimeoutSeconds: number;
  readonly stallTimeoutSeconds: number;
  readonly protocols: readonly Protocol[];
  readonly migrationPorts?: PortRange;
  readonly migrationAddress?: string;
  readonly insecureMigrationPorts?: boolean;
}

const packageVersion = '0.1.0';

/** Puts the destination-agent together and brings it up: the host, what is on disk, the routes, and then the recovery. */
export async function startDestinationAgent(options: DestinationOptions, faults: FaultPoints, log: Log): Promise<RunningApp> {
  const host = await openHost('destination-agent', options, faults, log);
  let publicUrl = options.publicUrl ?? '';
  const metrics = new Metrics();
  const peers = new Peers(options);
  const listenAt = parseListenAddress(options.listen);
  const context: DestinationContext = {
    clock: systemClock,
    random: systemRandom,
    faults,
    log,
    host: host.state.identity,
    publicUrl: () => publicUrl,
    protocols: new Protocols(options.protocols, host.locks),
    ...takersOf(options, listenAt.host, host.state.identity.hostName),
    migrateTls: host.migrateTls,
    guestHost: host.guestHost,
    journals: recordsOf(host.state, log),
    arrivals: host.state.arrivals,
    leaving: host.state.leaving,
    configs: host.state.configs,
    locks: host.locks,
    auditor: host.auditor,
    events: host.events,
    sessions: new ControlSessions({ clock: systemClock, random: systemRandom, ttlSecondsDefault: options.sessionTtlSeconds }),
    metrics: new MigrationMetrics(metrics, 'destination', () => incomings.list()),
    relay:
      options.relay === undefined ? null : new RelayClient(options.relay, { ...peers.own, tls: openTlsIdentity(options, log) }),
    neighbour: options.sourceAgent === undefined ? null : new SourceAgentClient(options.sourceAgent, peers.own),
    sourceAgent: peers.clients((url, shown) => new SourceAgentClient(url, { timeoutMs: askTimeoutMs, ...shown })),
    timers: {
      attachMs: options.attachTimeoutSeconds * 1_000,
      stallMs: options.stallTimeoutSeconds * 1_000,
      retryMs: options.retryMs,
    },
    availableMemoryBytes,
    holdsLock: () => host.lock.holds(),
  };
  const incomings = new Incomings(context);
  const service = createService({
    app: 'destination-agent',
    routes: [
      // Before the routes of a migration, whose id it would be.
      checkRoute(context, incomings),
      ...migrationReadRoutes('incoming', incomings),
      ...stepRoutes(context, incomings),
      ...recordRoutes(incomings),
      ...eventRoutes(context.events),
      ...sessionRoutes(context.sessions, 'migrate-receive'),
    ],
    upgrades: [streamRoute(incomings)],
    metrics,
    log,
    clock: systemClock,
    random: systemRandom,
    authenticator: loadAuthenticator(options.tokenFile),
    auditor: host.auditor,
    version: () => versionOf(context),
    ready: () => Promise.resolve({ lock: { ok: host.lock.holds(), detail: host.lock.path } }),
  });
  // Each record has met its QEMU again before the first question can come: a wish to abort that overtook that look would be weighed as if
  // nothing had been loaded (I2), or find no QEMU where one is. What the recovery itself asks goes on while questions are answered.
  await incomings.load();
  await incomings.recover();
  const { url } = await service.listen(listenAt);
  publicUrl = options.publicUrl ?? url;
  return { service, url, close: () => host.close() };
}

const askTimeoutMs = 5_000;

/** Where the streams of this host are taken, and by whom. */
function takersOf(options: DestinationOptions, agent: string, hostName: string): Pick<DestinationContext, 'listening' | 'ports'> {
  const { relay, migrationAddress: qemu = agent, migrationPorts: range = null, insecureMigrationPorts = false } = options;
  return {
    listening: new Listening({
      agent,
      relay: relay === undefined ? null : new URL(relay).hostname.replace(/^\[|\]$/g, ''),
      qemu,
      addresses: () => Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address)),
    }),
    ports: new MigrationPorts({ range, address: qemu, insecure: insecureMigrationPorts, hostName }),
  };
}

function recordsOf({ folders }: HostState, log: Log): DocumentStore<IncomingJournal> {
  return new DocumentStore({
    dir: folders.migrations,
    suffix: '.incoming.json',
    parse: (value) => incomingJournal.parse(value),
    version: 1,
    countMax: recordsMax + tombstonesMax,
    report: (fault) => log.error('a record cannot be read and was set aside', { ...fault }),
  });
}

async function availableMemoryBytes(): Promise<number> {
  const [, kib = '0'] = /^MemAvailable: +(\d+) kB$/m.exec(await readFile('/proc/meminfo', 'utf8')) ?? [];
  return Number(kib) * 1_024;
}

function versionOf({ host, protocols, ports, ...context }: DestinationContext): VersionReply {
  const tcp = ports.offered ? [features.tcp, ...(ports.insecure ? [features.tcpInsecure] : [])] : [];
  const parallel = context.relay === null ? [] : [features.parallel];
  const own = ['outcome-record', 'direct', ...featuresOf(context), ...parallel, ...tcp];
  return { app: 'destination-agent', version: packageVersion, protocols: [...protocols.offered], features: own, ...host };
}
