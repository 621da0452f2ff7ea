import { Worker } from 'node:worker_threads';

/** The same file from src/ (under a test runner) and from dist/: Node 20 cannot start a thread from TypeScript. */
const workerFile = new URL('../../dist/pump/worker.js', import.meta.url);

/**
 * A thread takes 65 ms to start and to load what it needs, which is a fifth of the migration of a small guest. So one thread is
 * kept ready for the next stream. It waits in its event loop, not in a system call, and does not keep the process alive.
 */
let ready: Worker | undefined;

/** Starts the thread that the next stream will use, unless one is ready. An app calls it when it starts. */
export function prepareWorker(): void {
  if (ready === undefined) keepWorker(newWorker());
}

/** A thread that runs nothing yet; it belongs to one stream until it is given to `keepWorker`. */
export function takeWorker(): Worker {
  const worker = ready ?? newWorker();
  ready = undefined;
  worker.ref();
  return worker;
}

/** Takes back a thread whose stream has ended: it becomes the one that is ready, or ends when there is one. */
export function keepWorker(worker: Worker): void {
  if (ready !== undefined) {
    void worker.terminate();
    return;
  }
  worker.unref();
  ready = worker;
}

function newWorker(): Worker {
  const worker = new Worker(workerFile, { execArgv: [] });
  worker.once('exit', () => {
    if (ready === worker) ready = undefined;
  });
  // A stream listens for itself. This listener is for the time when the thread has none: its end is all that matters then.
  worker.on('error', () => undefined);
  return worker;
}
