import { parentPort } from 'node:worker_threads';
import { SharedCounters } from './counters.js';
import { moveBytes, type PumpJob } from './move-bytes.js';
import type { WorkerMessage } from './pump-end.js';

// One stream at a time: while it runs, this thread answers to nothing but the pump's own eventfd.
parentPort?.on('message', (job: PumpJob) => {
  const say = (message: WorkerMessage) => parentPort?.postMessage(message);
  say(moveBytes(job, new SharedCounters(job.counters), () => say({ t: 'half-closed' })));
});
