import { Worker } from 'node:worker_threads';

/** The same file from src/ (under a test runner) and from dist/: Node 20 cannot start a thread from TypeScript. */
const workerFile = new URL('../../dist/pump/worker.js', import.meta.url);

/**
 * A thread takes 65 ms to start and to load what it needs, which is a fifth of the migration of a small guest. So one thread is
 * kept ready for the next stream. It waits in its event loop, not in a system call, and does not keep the process alive.
 */
const ready: Worker[] = [];

/**
 * Starts the threads that the next streams will use, unless so many are ready. An app calls it when it starts, and for a family, whose channels all
 * begin at once. What of them is not used goes when the next stream ends.
 */
export function prepareWorkers(count: number): void {
  while (ready.length < count) makeReady(newWorker());
}

/** A thread that runs nothing yet; it belongs to one stream until it is given to `keepWorker`. */
export function takeWorker(): Worker {
  const worker = ready.pop() ?? newWorker();
  worker.ref();
  return worker;
}

/** Takes back a thread whose stream has ended: one stays ready, the others end. */
export function keepWorker(worker: Worker): void {
  makeReady(worker);
  for (const other of ready.splice(1)) void other.terminate();
}

function makeReady(worker: Worker): void {
  worker.unref();
  ready.push(worker);
}

function newWorker(): Worker {
  const worker = new Worker(workerFile, { execArgv: [] });
  worker.once('exit', () => {
    const at = ready.indexOf(worker);
    if (at !== -1) ready.splice(at, 1);
  });
  // A stream listens for itself. This listener is for the time when the thread has none: its end is all that matters then.
  worker.on('error', () => undefined);
  return worker;
}
