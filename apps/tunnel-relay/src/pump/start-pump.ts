import type { Worker } from 'node:worker_threads';
import { notifyEventfd } from '@vmferry/posix';
import { type PumpCounters, SharedCounters } from './counters.js';
import type { PumpJob } from './data-path.js';
import { Bandwidth } from './pace.js';
import { openPumpDescriptors, type PumpDescriptors, pipeBytesWanted } from './pump-descriptors.js';
import type { DirectionName, PathName, PumpEnd, WorkerEnd } from './pump-end.js';
import { keepWorker, takeWorker } from './pump-workers.js';
import type { TlsSession } from './tls-session.js';
import type { WorkerMessage, WorkerOrder } from './worker-messages.js';

export interface PumpOptions {
  /** A connected stream socket towards this host's QEMU; the pump's own from now on, also when `startPump` throws. */
  readonly local: number;
  /** `local` is a connection to an agent, which hands over the one towards QEMU when it is called (`hand-over.ts`). */
  readonly handsOver?: boolean;
  /** A connected stream socket towards the other relay; the pump's own likewise. */
  readonly remote: number;
  /** Bytes that were read from `remote` already, as after an HTTP upgrade; they reach `local` first. */
  readonly head?: Uint8Array;
  /** The caps that it keeps: its own, and the one of all streams of the relay. Without one it takes what it gets. */
  readonly bandwidth?: Bandwidth;
  readonly sharedBandwidth?: Bandwidth;
  /** Which way the memory goes. The other direction carries the few bytes of QEMU's return path. `to-remote` unless it is told. */
  readonly bulk?: DirectionName;
  /** What the bulk's pipe may hold; for the bench, which measures others beside the relay's own. */
  readonly pipeBytes?: number;
  /** Told when one direction has come to its end and the other has not. */
  readonly onHalfClose?: () => void;
  /** With it `remote` speaks TLS. */
  readonly tls?: TlsSession | null;
  /** Which plain path is tried first: `splice`, unless the specs hold the other one to the same contract. */
  readonly path?: 'splice' | 'streams';
  /** Told when the pump has left a path that this host does not support, with what the kernel said. */
  readonly onFallback?: (reason: string) => void;
}

export interface Pump {
  readonly counters: PumpCounters;
  /** How the bytes are moved at this moment. */
  readonly path: PathName;
  /** Ends the pump with a reset of both connections; nothing once it has ended. */
  abort(reason: string): void;
  /** Never rejects. By then every descriptor is closed. */
  readonly ended: Promise<PumpEnd>;
}

/** Wakes each running worker: a thread that is blocked in a system call would make the exit of the process hang for ever. */
const running = new Set<() => void>();
process.on('exit', () => {
  for (const stop of running) stop();
});

/**
 * Moves the bytes of one stream between two connected sockets, full duplex, inside the kernel where it can (S37, S50). Half-close is kept; a
 * connection that breaks on one side is reset on the other. Each running stream has a worker thread to itself: a host carries
 * few streams, one that blocks holds up nobody, and it is the kernel that shares the processors among them. Silence is for the
 * caller to judge, by `counters.silentMs`. Throws, with both connections closed, when the host has no descriptor or thread left.
 */
export function startPump(options: PumpOptions): Pump {
  const { onHalfClose = () => undefined, onFallback = () => undefined, tls = null } = options;
  let path: PathName = tls === null ? (options.path ?? 'splice') : 'tls';
  const { bulk = 'to-remote', pipeBytes = pipeBytesWanted, handsOver = false } = options;
  const descriptors = openPumpDescriptors(options.local, options.remote, { bulk, pipeBytes, handsOver });
  const counters = new SharedCounters();
  const worker = takeWorkerOrClose(descriptors);
  let abortReason = '';

  const order = (message: WorkerOrder) => worker.postMessage(message);
  const stop = () => {
    counters.wantAbort();
    notifyEventfd(descriptors.wake);
    order({ t: 'abort' });
  };
  running.add(stop);
  const fellBack = (told: Extract<WorkerMessage, { t: 'fell-back' }>) => {
    path = told.path;
    onFallback(told.reason);
  };
  const ended = outcomeOf(worker, onHalfClose, fellBack).then((end): PumpEnd => {
    running.delete(stop);
    descriptors.close(end.t === 'clean' ? 'clean' : 'reset');
    return end.t === 'aborted' ? { ...end, reason: abortReason } : end;
  });
  order({ t: 'move', job: { path, tls, ...jobFor(descriptors, options, counters) } });
  const abort = (reason: string) => {
    if (!running.has(stop) || counters.abortWanted) return;
    abortReason = reason;
    stop();
  };
  return {
    counters,
    get path() {
      return path;
    },
    abort,
    ended,
  };
}

function takeWorkerOrClose(descriptors: PumpDescriptors): Worker {
  try {
    return takeWorker();
  } catch (thrown) {
    descriptors.close('reset');
    throw thrown;
  }
}

/** What the worker says of its stream, or that it died. It touches no descriptor afterwards. */
function outcomeOf(
  worker: Worker,
  onHalfClose: () => void,
  onFallback: (told: Extract<WorkerMessage, { t: 'fell-back' }>) => void,
): Promise<WorkerEnd | Extract<PumpEnd, { t: 'crashed' }>> {
  return new Promise((resolve) => {
    const onMessage = (end: WorkerMessage) => {
      if (end.t === 'half-closed') return onHalfClose();
      if (end.t === 'fell-back') return onFallback(end);
      worker.off('message', onMessage);
      worker.off('error', onError).off('exit', onExit);
      keepWorker(worker);
      resolve(end);
    };
    const onError = (error: Error) => {
      worker.off('message', onMessage);
      resolve({ t: 'crashed', error });
    };
    const onExit = (code: number) => {
      worker.off('message', onMessage);
      resolve({ t: 'crashed', error: new Error(`The worker of a stream exited with ${code} and said nothing.`) });
    };
    worker.on('message', onMessage).once('error', onError).once('exit', onExit);
  });
}

function jobFor(descriptors: PumpDescriptors, options: PumpOptions, counters: SharedCounters): Omit<PumpJob, 'path' | 'tls'> {
  const { head = [], bandwidth = new Bandwidth(), sharedBandwidth = new Bandwidth() } = options;
  // A Buffer is often a window on a larger pool, and all of that would be copied to the worker.
  const ownBytes = new Uint8Array(head);
  const paces = (direction: keyof PumpDescriptors & keyof Bandwidth) => ({
    own: bandwidth[direction].memory,
    shared: sharedBandwidth[direction].memory,
  });
  const local = { side: 'local', fd: descriptors.local } as const;
  const remote = { side: 'remote', fd: descriptors.remote } as const;
  return {
    local: local.fd,
    remote: remote.fd,
    control: descriptors.control,
    wake: descriptors.wake,
    toLocal: { name: 'to-local', from: remote, to: local, pipe: descriptors.toLocal, head: ownBytes, paces: paces('toLocal') },
    toRemote: {
      name: 'to-remote',
      from: local,
      to: remote,
      pipe: descriptors.toRemote,
      head: new Uint8Array(0),
      paces: paces('toRemote'),
    },
    counters: counters.memory,
  };
}
