import type { LifecycleEvents, MigrateTls, MigrationMetrics, Peers, Protocols } from '@vmferry/agent';
import type { Auditor } from '@vmferry/audit';
import type { DestinationAgentClient, RelayClient } from '@vmferry/client';
import type { GuestHost } from '@vmferry/guest';
import type { Arrivals, DocumentStore, DomainConfigs, HostIdentity } from '@vmferry/host-state';
import type { LockDriver } from '@vmferry/locking';
import type { Decision, MigrationKey } from '@vmferry/migration';
import type { Clock, FaultPoints, Random } from '@vmferry/seams';
import type { ControlSessions, Log } from '@vmferry/service';
import type { OutgoingJournal } from './outgoing/outgoing-journal.js';
import type { ManagedImages } from './saving/managed-images.js';

/** Of the destination-agent's own document: what is decided, and whether it brings a definition and no guest. */
interface IncomingRecord {
  readonly decision: Decision;
  readonly offline: boolean;
  readonly createdAt: string;
  /** Of its domain on this host; null for a migration that was never prepared. */
  readonly name: string | null;
  /** The configuration that was here before; null when none of its own has taken its place. */
  readonly configBefore: { readonly xml: string | null } | null;
}

/** Everything that the source-agent acts through; tests hand in others. */
export interface SourceContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly faults: FaultPoints;
  readonly log: Log;
  readonly host: HostIdentity;
  /** The URL under which other hosts reach this agent; known once it listens. */
  readonly publicUrl: () => string;
  /** The protocols that this agent speaks. */
  readonly protocols: Protocols;
  readonly peers: Peers;
  readonly guestHost: GuestHost;
  readonly journals: DocumentStore<OutgoingJournal>;
  readonly configs: DomainConfigs;
  readonly locks: LockDriver;
  readonly auditor: Auditor;
  readonly events: LifecycleEvents;
  readonly sessions: ControlSessions;
  readonly metrics: MigrationMetrics;
  /** The relay of this host; null when tunnelled migrations are not offered. */
  readonly relay: RelayClient | null;
  /** QEMU's own TLS, on this host. */
  readonly migrateTls: MigrateTls;
  readonly destinationAgent: (url: string) => DestinationAgentClient;
  /** By which migration a guest is coming in to this host. */
  readonly arrivals: Arrivals;
  /** By which offline migration a definition is leaving this host; for its destination-agent. */
  readonly leaving: Arrivals;
  /** What the destination-agent of this host has of a migration that came in; null when it has no record of it. */
  readonly incomingRecord: (key: MigrationKey) => Promise<IncomingRecord | null>;
  /** By the uuid of a guest, the migration by which it has left this host and has not come back since, as far as is known. */
  readonly departures: Map<string, OutgoingJournal>;
  /** Folders below which the files of images may lie. */
  readonly imageRoots: readonly string[];
  readonly managedImages: ManagedImages;
  /** Between two tries of anything that waits for another to answer. */
  readonly retryMs: number;
  readonly sessionTtlSeconds: number;
}
