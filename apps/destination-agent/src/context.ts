import type { LifecycleEvents, MigrateTls, MigrationMetrics, Protocols } from '@vmferry/agent';
import type { Auditor } from '@vmferry/audit';
import type { RelayClient, SourceAgentClient } from '@vmferry/client';
import type { GuestHost } from '@vmferry/guest';
import type { Arrivals, DocumentStore, DomainConfigs, HostIdentity } from '@vmferry/host-state';
import type { LockDriver } from '@vmferry/locking';
import type { Clock, FaultPoints, Random } from '@vmferry/seams';
import type { ControlSessions, Log } from '@vmferry/service';
import type { IncomingJournal } from './incoming/incoming-journal.js';
import type { Listening } from './incoming/listening.js';
import type { MigrationPorts } from './incoming/migration-ports.js';

/** The agent's own timers, all in milliseconds (qemu-behaviour: TCP and QEMU tell nobody of a silent stream). */
interface Timers {
  /** From Prepare until the first byte of the stream. */
  readonly attachMs: number;
  /** How long an unfinished stream may be silent, and a loaded guest may wait for Finish before the source is asked. */
  readonly stallMs: number;
  /** Between two tries of anything that waits for another to answer. */
  readonly retryMs: number;
}

/** Everything that the destination-agent acts through; tests hand in others. */
export interface DestinationContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly faults: FaultPoints;
  readonly log: Log;
  readonly host: HostIdentity;
  /** The URL under which other hosts reach this agent; known once it listens. */
  readonly publicUrl: () => string;
  /** The protocols whose steps this agent takes. */
  readonly protocols: Protocols;
  readonly listening: Listening;
  /** The ports that QEMUs of this host may listen on. */
  readonly ports: MigrationPorts;
  /** QEMU's own TLS, on this host. */
  readonly migrateTls: MigrateTls;
  readonly guestHost: GuestHost;
  readonly journals: DocumentStore<IncomingJournal>;
  /** What of them is coming in, by the uuid of the guest; for the source-agent of this host. */
  readonly arrivals: Arrivals;
  /** Which definitions are leaving this host offline; of its source-agent. */
  readonly leaving: Arrivals;
  readonly configs: DomainConfigs;
  readonly locks: LockDriver;
  readonly auditor: Auditor;
  readonly events: LifecycleEvents;
  readonly sessions: ControlSessions;
  readonly metrics: MigrationMetrics;
  /** The relay of this host; null when tunnelled migrations are not offered. */
  readonly relay: RelayClient | null;
  /** The source-agent of this host, which adopts what has arrived. */
  readonly neighbour: SourceAgentClient | null;
  readonly sourceAgent: (url: string) => SourceAgentClient;
  readonly timers: Timers;
  /** Memory of this host that a new process could have. */
  readonly availableMemoryBytes: () => Promise<number>;
  /** True as long as this process holds the lock file of its state folder. */
  readonly holdsLock: () => boolean;
}
