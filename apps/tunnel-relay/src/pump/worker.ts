import { parentPort } from 'node:worker_threads';
import { SharedCounters } from './counters.js';
import type { DataPath, PathListener, PumpJob } from './data-path.js';
import { takeLocalEnd } from './hand-over.js';
import { moveBytes } from './move-bytes.js';
import type { PathName, WorkerEnd } from './pump-end.js';
import { moveByStreams } from './streams/move-by-streams.js';
import { moveByTls } from './streams/move-by-tls.js';
import type { WorkerMessage, WorkerOrder } from './worker-messages.js';

const paths: Readonly<Record<PathName, DataPath>> = { splice: moveBytes, streams: moveByStreams, tls: moveByTls };

let running = new AbortController();

// One stream at a time. While it is spliced, this thread answers to nothing but the pump's own eventfd.
parentPort?.on('message', (order: WorkerOrder) => {
  if (order.t === 'abort') {
    running.abort();
    return;
  }
  running = new AbortController();
  const listener = { halfClosed: () => say({ t: 'half-closed' }), signal: running.signal };
  // What goes wrong here is the end of the thread, which the pump takes for a defect.
  const counters = new SharedCounters(order.job.counters);
  const failed = takeLocalEnd(order.job, counters);
  void (failed === null ? move(order.job, counters, listener) : Promise.resolve(failed)).then(say);
});

function say(message: WorkerMessage): void {
  parentPort?.postMessage(message);
}

async function move(job: PumpJob, counters: SharedCounters, listener: PathListener): Promise<WorkerEnd> {
  const end = await paths[job.path](job, counters, listener);
  if (end.t !== 'unsupported') return end;
  const { reason, unsent } = end;
  say({ t: 'fell-back', path: 'streams', reason });
  const toLocal = { ...job.toLocal, head: unsent.toLocal };
  const toRemote = { ...job.toRemote, head: unsent.toRemote };
  return move({ ...job, path: 'streams', toLocal, toRemote }, counters, listener);
}
