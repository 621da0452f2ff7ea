import type { Metrics } from '@vmferry/service';
import type { Stream } from './streams/stream.js';
import type { Streams } from './streams/streams.js';

const direction = ['to_peer', 'from_peer'] as const;
type Direction = (typeof direction)[number];
const state = ['waiting', 'attached', 'streaming', 'closed', 'failed'] as const;

/** Declares what /metrics tells; all of it is read from the streams when it is asked for. */
export function declareRelayMetrics(metrics: Metrics, streams: Streams): void {
  declareTotals(metrics, streams);
  declareStreams(metrics, streams);
}

/** Of the relay's whole life: streams that are no longer listed are in it, so that no total goes back. */
function declareTotals(metrics: Metrics, streams: Streams): void {
  metrics.total('relay_bytes_total', 'Bytes moved, by direction.', { direction }, () => {
    const { bytesToPeer, bytesFromPeer } = streams.totals();
    return inBoth(bytesToPeer, bytesFromPeer);
  });
  metrics.total('relay_splice_calls_total', 'Calls of splice(2).', {}, () => one(streams.totals().spliceCalls));
  metrics.total('relay_stalls_total', 'Times a receiver took nothing while bytes waited.', {}, () =>
    one(streams.totals().stalls),
  );
  metrics.total('relay_streams_ended_total', 'Streams that have ended, by how.', { outcome: ['closed', 'failed'] }, () => {
    const { closed, failed } = streams.totals();
    return [
      { labels: { outcome: 'closed' as const }, value: closed },
      { labels: { outcome: 'failed' as const }, value: failed },
    ];
  });
  metrics.gauge('relay_streams', 'Listed streams, by state.', { state }, () =>
    state.map((name) => ({ labels: { state: name }, value: streams.list().filter((stream) => stream.state === name).length })),
  );
}

/** Of each stream that streams: at most 64 at once, each under its id until it has ended. */
function declareStreams(metrics: Metrics, streams: Streams): void {
  const labels: { stream: readonly string[]; migration: readonly string[] } = { stream: [], migration: [] };
  const each = <T>(read: (stream: Stream) => T): { labels: { stream: string; migration: string }; value: T }[] =>
    streams
      .list()
      .filter((stream) => stream.state === 'streaming')
      .map((stream) => ({ labels: { stream: stream.id, migration: stream.migrationId }, value: read(stream) }));
  const eachWay = (read: (stream: Stream) => readonly [toPeer: number, fromPeer: number]) =>
    each(read).flatMap(({ labels: of, value }) =>
      inBoth(...value).map((way) => ({ labels: { ...of, ...way.labels }, value: way.value })),
    );
  metrics.total('relay_stream_bytes_total', 'Bytes moved by a running stream.', { ...labels, direction }, () =>
    eachWay(({ counters }) => [counters.bytesToRemote, counters.bytesToLocal]),
  );
  metrics.gauge('relay_stream_bytes_per_second', 'What it moved in the last second.', { ...labels, direction }, () =>
    eachWay(({ bytesPerSec }) => [bytesPerSec.toPeer, bytesPerSec.fromPeer]),
  );
  metrics.total('relay_stream_splice_calls_total', 'Calls of splice(2) for a running stream.', labels, () =>
    each(({ counters }) => counters.spliceCalls),
  );
  metrics.total('relay_stream_stalls_total', 'Times its receiver took nothing while bytes waited.', labels, () =>
    each(({ counters }) => counters.stalls),
  );
  metrics.gauge('relay_stream_silent_seconds', 'Time since its last byte in either direction.', labels, () =>
    each(({ counters }) => counters.silentMs / 1_000),
  );
}

const one = (value: number) => [{ labels: {}, value }];

function inBoth(toPeer: number, fromPeer: number): { labels: { direction: Direction }; value: number }[] {
  return [
    { labels: { direction: 'to_peer' }, value: toPeer },
    { labels: { direction: 'from_peer' }, value: fromPeer },
  ];
}
