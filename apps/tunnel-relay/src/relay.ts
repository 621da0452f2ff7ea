import { mkdirSync } from 'node:fs';
import type { VersionReply } from '@vmferry/api';
import type { Clock, FaultPoints, Random } from '@vmferry/seams';
import { type Authenticator, createService, type Log, Metrics, type Service } from '@vmferry/service';
import type { TlsIdentity } from '@vmferry/tls';
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
  readonly authenticator: Authenticator;
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
  declareMetrics(metrics, streams);
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

function declareMetrics(metrics: Metrics, streams: Streams): void {
  const direction = ['to_peer', 'from_peer'] as const;
  metrics.total('relay_bytes_total', 'Bytes moved, by direction.', { direction }, () => {
    const { bytesToPeer, bytesFromPeer } = streams.totals();
    return [
      { labels: { direction: 'to_peer' }, value: bytesToPeer },
      { labels: { direction: 'from_peer' }, value: bytesFromPeer },
    ];
  });
  metrics.total('relay_splice_calls_total', 'Calls of splice(2).', {}, () => [
    { labels: {}, value: streams.totals().spliceCalls },
  ]);
  metrics.total('relay_stalls_total', 'Times a receiver took nothing while bytes waited.', {}, () => [
    { labels: {}, value: streams.totals().stalls },
  ]);
  const state = ['waiting', 'attached', 'streaming', 'closed', 'failed'] as const;
  metrics.gauge('relay_streams', 'Listed streams, by state.', { state }, () =>
    state.map((name) => ({ labels: { state: name }, value: streams.list().filter((stream) => stream.state === name).length })),
  );
}
