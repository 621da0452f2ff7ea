import { mkdirSync } from 'node:fs';
import type { VersionReply } from '@vmferry/api';
import type { Auditor } from '@vmferry/audit';
import type { Clock, FaultPoints, Random } from '@vmferry/seams';
import { type Authenticator, createService, type Log, Metrics, type Service } from '@vmferry/service';
import type { TlsIdentity } from '@vmferry/tls';
import { declareRelayMetrics } from './relay-metrics.js';
import { streamRoutes, streamUpgrades } from './routes.js';
import type { StreamTimers } from './streams/stream.js';
import { Streams } from './streams/streams.js';

export interface RelayOptions {
  readonly host: Pick<VersionReply, 'hostName' | 'hostUuid' | 'storeId'>;
  readonly version: string;
  readonly runtimeDir: string;
  /** How peers reach this relay; without it, where it listens. */
  readonly publicUrl: string | undefined;
  readonly timers: StreamTimers;
  /** What all streams together may move in each direction; 0 is no cap. */
  readonly bandwidthMibPerSec: number;
  readonly authenticator: Authenticator;
  readonly auditor: Pick<Auditor, 'api'>;
  /** Whether this process still holds the lock of the state folder. */
  holdsState(): boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly faults: FaultPoints;
  readonly log: Log;
  /** With it the relay speaks HTTPS alone, and its streams are encrypted. */
  readonly tls: TlsIdentity | null;
}

export interface Relay {
  readonly service: Service;
  readonly streams: Streams;
  listen(at: { host: string; port: number }): Promise<{ url: string }>;
}

/** The relay, composed. It knows streams and tickets, nothing of domains. */
export function createRelay(options: RelayOptions): Relay {
  mkdirSync(options.runtimeDir, { recursive: true, mode: 0o700 });
  const metrics = new Metrics();
  const streams = new Streams(options);
  declareRelayMetrics(metrics, streams);
  let publicUrl = options.publicUrl ?? '';
  const service = createService({
    app: 'tunnel-relay',
    routes: streamRoutes(streams, () => publicUrl),
    upgrades: streamUpgrades(streams),
    metrics,
    log: options.log,
    clock: options.clock,
    random: options.random,
    authenticator: options.authenticator,
    auditor: options.auditor,
    tls: options.tls,
    version: () => ({ app: 'tunnel-relay', version: options.version, protocols: ['v3'], features: [], ...options.host }),
    ready() {
      const ok = options.holdsState();
      const detail = ok ? 'held by this process' : 'its lock file was removed or replaced; restart the relay';
      return Promise.resolve({ stateFolder: { ok, detail } });
    },
  });
  return {
    service,
    streams,
    async listen(at) {
      const { url } = await service.listen(at);
      if (publicUrl === '') publicUrl = url;
      return { url };
    },
  };
}
