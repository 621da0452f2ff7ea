import { join } from 'node:path';
import {
  type AgentOptions,
  eventRoutes,
  featuresOf,
  MigrationMetrics,
  migrationReadRoutes,
  type OpenHost,
  openHost,
  Peers,
  Protocols,
} from '@vmferry/agent';
import { type VersionReply, z } from '@vmferry/api';
import { DestinationAgentClient, RelayClient } from '@vmferry/client';
import { DocumentStore, type HostState } from '@vmferry/host-state';
import { isOffline, keyName, protocols } from '@vmferry/migration';
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
  StepReplies,
  sessionRoutes,
} from '@vmferry/service';
import type { SourceContext } from './context.js';
import { Adoption } from './domains/adoption.js';
import { Domains } from './domains/domains.js';
import { Lifecycle } from './domains/lifecycle.js';
import { type OutgoingJournal, outgoingJournal } from './outgoing/outgoing-journal.js';
import { journalsMax, Outgoings } from './outgoing/outgoings.js';
import { peerToPeer } from './outgoing/peer-to-peer.js';
import { adoptionRoute } from './routes/domain-routes.js';
import { checkRoute, migrateRoute, migrationRoutes } from './routes/migration-routes.js';
import { routesOfDomains } from './routes/routes-of-domains.js';
import { questionRoutes, stepRoutes } from './routes/step-routes.js';
import { ManagedImages } from './saving/managed-images.js';

const packageVersion = '0.1.0';
const askTimeoutMs = 30_000;
const stepsMax = 2_000;

/** Puts the source-agent together and brings it up: the host, the guests that live, the routes, the migrations under way. */
export async function startSourceAgent(options: AgentOptions, faults: FaultPoints, log: Log): Promise<RunningApp> {
  const host = await openHost('source-agent', options, faults, log);
  let publicUrl = options.publicUrl ?? '';
  const report = (fault: { readonly path: string; readonly movedTo: string; readonly reason: string }) =>
    log.error('a journal cannot be read and was set aside', { ...fault });
  const metrics = new Metrics();
  const peers = new Peers(options);
  const context: SourceContext = {
    clock: systemClock,
    random: systemRandom,
    faults,
    log,
    host: host.state.identity,
    publicUrl: () => publicUrl,
    protocols: new Protocols(protocols, host.locks),
    peers,
    guestHost: host.guestHost,
    journals: journalsOf(host.state, report),
    configs: host.state.configs,
    leaving: host.state.leaving,
    locks: host.locks,
    auditor: host.auditor,
    events: host.events,
    sessions: new ControlSessions({ clock: systemClock, random: systemRandom, ttlSecondsDefault: options.sessionTtlSeconds }),
    metrics: new MigrationMetrics(metrics, 'source', () => outgoings.list()),
    relay:
      options.relay === undefined ? null : new RelayClient(options.relay, { ...peers.own, tls: openTlsIdentity(options, log) }),
    migrateTls: host.migrateTls,
    destinationAgent: peers.clients((url, shown) => new DestinationAgentClient(url, { timeoutMs: askTimeoutMs, ...shown })),
    ...incomingOf(host.state, report),
    departures: new Map(),
    ...takenFrom(options),
  };
  const lifecycle = new Lifecycle(context);
  const domains = new Domains(context, lifecycle);
  const adoption = new Adoption(context, domains);
  const outgoings = new Outgoings(context, domains);
  const replies = new StepReplies({ entriesMax: stepsMax });
  const service = createService({
    app: 'source-agent',
    routes: [
      ...routesOfDomains(context, domains, lifecycle),
      // Before the routes of a migration, whose id it would be.
      checkRoute(context, domains, outgoings),
      ...migrationReadRoutes('outgoing', outgoings),
      migrateRoute(outgoings, peerToPeer(context)),
      ...migrationRoutes(outgoings, replies),
      ...stepRoutes(context, outgoings, replies),
      ...questionRoutes(outgoings),
      adoptionRoute(adoption),
      ...eventRoutes(context.events),
      ...sessionRoutes(context.sessions, 'migrate-send'),
    ],
    metrics,
    log,
    clock: systemClock,
    random: systemRandom,
    authenticator: loadAuthenticator(options.tokenFile),
    auditor: host.auditor,
    version: () => versionOf(context),
    ready: () => Promise.resolve({ lock: { ok: host.lock.holds(), detail: host.lock.path } }),
  });
  // Guests and journals are known before the first question can come; what they ask for goes on while questions are answered.
  await domains.load();
  await outgoings.load();
  const { url } = await service.listen(parseListenAddress(options.listen));
  publicUrl = options.publicUrl ?? url;
  outgoings.recover();
  await adoption.pull();
  return { service, url, close: () => closed(host, domains) };
}

function closed(host: OpenHost, domains: Domains): Promise<void> {
  domains.close();
  return host.close();
}

function takenFrom({ imageRoot, stateDir, retryMs, sessionTtlSeconds }: AgentOptions) {
  return { imageRoots: imageRoot, managedImages: new ManagedImages(join(stateDir, 'save')), retryMs, sessionTtlSeconds };
}

type Report = ConstructorParameters<typeof DocumentStore>[0]['report'];

function journalsOf({ folders }: HostState, report: Report): DocumentStore<OutgoingJournal> {
  const parse = (value: unknown) => outgoingJournal.parse(value);
  const bounds = { countMax: journalsMax, version: 1 };
  return new DocumentStore({ dir: folders.migrations, suffix: '.outgoing.json', parse, ...bounds, report });
}

/** What comes in to this host, read from its destination-agent's own documents: the record on disk is the truth. */
function incomingOf({ folders, arrivals }: HostState, report: Report): Pick<SourceContext, 'arrivals' | 'incomingRecord'> {
  const decided = z.object({
    record: z.object({ decision: z.enum(['open', 'committing', 'committed', 'aborted', 'unknown']) }),
    flags: z.array(z.string()).default([]),
    createdAt: z.string(),
    domain: z.object({ name: z.string() }).nullable(),
    configBefore: z.object({ xml: z.string().nullable() }).nullable().default(null),
  });
  const records = new DocumentStore({
    dir: folders.migrations,
    suffix: '.incoming.json',
    parse: (value) => decided.parse(value),
    version: 1,
    report,
  });
  const incomingRecord: SourceContext['incomingRecord'] = async (key) => {
    const document = await records.read(keyName(key));
    if (document === null) return null;
    const { record, flags, createdAt, domain, configBefore } = document;
    return { decision: record.decision, offline: isOffline(flags), createdAt, name: domain?.name ?? null, configBefore };
  };
  return { arrivals, incomingRecord };
}

function versionOf({ host, protocols: { offered }, ...context }: SourceContext): VersionReply {
  const own = ['peer-to-peer', 'managed', 'change-protection', ...featuresOf(context)];
  return { app: 'source-agent', version: packageVersion, protocols: [...offered], features: own, ...host };
}
