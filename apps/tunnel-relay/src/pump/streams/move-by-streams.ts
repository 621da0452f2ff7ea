import { errnoName, takeSocketError } from '@vmferry/posix';
import type { SharedCounters } from '../counters.js';
import type { DataPath, PathListener, PumpJob } from '../data-path.js';
import type { DirectionJob } from '../direction.js';
import type { DirectionName, Side, WorkerEnd } from '../pump-end.js';
import { Lane } from './lane.js';
import { type EndListener, type NodeEnd, type OpenEnd, pieceOf } from './node-end.js';
import { plainEnd } from './plain-end.js';

/** Node watches no connection that it neither reads nor writes: whether the peer broke off meanwhile has to be asked for. */
const breakCheckMs = 250;

/** The path by Node's own streams, in the same worker thread. */
export const moveByStreams: DataPath = (job, counters, listener) =>
  moveBetween({ local: plainEnd(job.local), remote: plainEnd(job.remote) }, job, counters, listener);

/** Moves bytes between two ends. Of each direction one piece is in memory, and its sender waits until the receiver has taken it. */
export async function moveBetween(
  open: { readonly local: OpenEnd; readonly remote: OpenEnd },
  job: PumpJob,
  counters: SharedCounters,
  listener: PathListener,
): Promise<WorkerEnd> {
  let settle: (end: WorkerEnd) => void = () => undefined;
  const outcome = new Promise<WorkerEnd>((resolve) => {
    settle = resolve;
  });
  const ended = new Set<DirectionName>();
  const over = new AbortController();
  const towards = (of: DirectionJob, to: () => NodeEnd): EndListener => {
    const { name, from, head } = of;
    const lane = new Lane(of, to, counters, over.signal);
    if (head.length > 0) lane.piece(pieceOf(head), () => undefined);
    return {
      piece: (bytes, taken) => lane.piece(bytes, taken),
      ended: () =>
        lane.end(() => {
          ended.add(name);
          if (ended.size === 2) settle({ t: 'clean' });
          else listener.halfClosed();
        }),
      broke: (error) => settle(failureOf(from.side, error)),
      stalled: () => counters.countStall(),
    };
  };
  // Nothing is told, and nothing passes a lane, before both ends are there.
  const local = open.local(towards(job.toRemote, () => remote));
  const remote = open.remote(towards(job.toLocal, () => local));
  listener.signal.addEventListener('abort', () => settle({ t: 'aborted' }), { once: true });
  if (counters.abortWanted) settle({ t: 'aborted' });
  const watch = setInterval(() => watchForBreaks(job, settle), breakCheckMs);
  const end = await outcome;
  clearInterval(watch);
  over.abort();
  await Promise.all([local.close(), remote.close()]);
  return end;
}

export function failureOf(side: Side, { syscall, code, errno }: NodeJS.ErrnoException): WorkerEnd {
  const isRead = syscall === undefined || syscall === 'read';
  const direction = (side === 'local') === isRead ? 'to-remote' : 'to-local';
  return { t: 'failed', side, direction, errno: Math.abs(errno ?? 0), name: code ?? 'unknown' };
}

function watchForBreaks(job: PumpJob, settle: (end: WorkerEnd) => void): void {
  for (const side of ['local', 'remote'] as const) {
    const errno = takeSocketError(job[side]);
    if (errno !== 0) settle(failureOf(side, Object.assign(new Error(), { code: errnoName(errno), errno })));
  }
}
