import { errnoName, type PollRequest, poll, pollBits, takeSocketError } from '@vmferry/posix';
import type { SharedCounters } from './counters.js';
import type { PathListener, PumpJob, Unsupported } from './data-path.js';
import { ConnectionBroke, Direction, type Progress, SpliceRefused } from './direction.js';
import type { Side, WorkerEnd } from './pump-end.js';
import { RestingDirection } from './resting.js';

interface Connection {
  readonly side: Side;
  readonly fd: number;
  /** Both ends were seen; `poll` would say so again and again, so it is asked no more unless an event is wanted. */
  hungUp: boolean;
}

/**
 * The path by `splice`: moves bytes between two non-blocking sockets, both ways, until both directions have ended, a connection breaks or an abort is
 * wanted. Blocks its thread in `poll` only; keeping a rate is its timeout. The directions take turns, so that a torrent in one never starves the
 * return path in the other, and an abort is seen between any two calls.
 */
export function moveBytes(job: PumpJob, counters: SharedCounters, listener: PathListener): WorkerEnd | Unsupported {
  const local: Connection = { side: 'local', fd: job.local, hungUp: false };
  const remote: Connection = { side: 'remote', fd: job.remote, hungUp: false };
  const toLocal = new Direction(job.toLocal, counters);
  const toRemote = new Direction(job.toRemote, counters);
  const resting = { toLocal: new RestingDirection(toLocal), toRemote: new RestingDirection(toRemote) };
  try {
    let told = false;
    let outbound: Progress = 'moved';
    while (!counters.abortWanted) {
      const inbound = resting.toLocal.step(outbound);
      outbound = resting.toRemote.step(inbound);
      if (inbound === 'ended' && outbound === 'ended') return { t: 'clean' };
      if (!told && (inbound === 'ended' || outbound === 'ended')) {
        told = true;
        listener.halfClosed();
      }
      if (inbound === 'moved' || outbound === 'moved') continue;
      if (inbound === 'writable' || outbound === 'writable') counters.countStall();
      const waitMs = soonest([inbound, toLocal], [outbound, toRemote]);
      sleepUntilReady(job.wake, waitMs, [
        { connection: local, events: eventsOf(inbound, 'writable') | eventsOf(outbound, 'readable') },
        { connection: remote, events: eventsOf(inbound, 'readable') | eventsOf(outbound, 'writable') },
      ]);
    }
    return { t: 'aborted' };
  } catch (thrown) {
    if (thrown instanceof ConnectionBroke) return thrown.end;
    if (!(thrown instanceof SpliceRefused)) throw thrown;
    const unsent = { toLocal: toLocal.takeBack(), toRemote: toRemote.takeBack() };
    return { t: 'unsupported', reason: thrown.message, unsent };
  }
}

function eventsOf(progress: Progress, wanted: 'readable' | 'writable'): number {
  return progress === wanted ? pollBits[wanted] : 0;
}

/** How long to sleep for what keeps a rate, -1 (for ever) when nothing does. */
function soonest(...directions: readonly (readonly [Progress, Direction])[]): number {
  const waits = directions.flatMap(([progress, { waitMs }]) => (progress === 'paced' ? [waitMs] : []));
  return waits.length === 0 ? -1 : Math.min(...waits);
}

interface Wanted {
  readonly connection: Connection;
  readonly events: number;
}

function sleepUntilReady(wake: number, timeoutMs: number, wanted: readonly Wanted[]): void {
  const requests: PollRequest[] = wanted.map(({ connection, events }) => ({
    fd: connection.hungUp && events === 0 ? -1 : connection.fd,
    events,
  }));
  const ready = poll([...requests, { fd: wake, events: pollBits.readable }], timeoutMs);
  wanted.forEach(({ connection, events }, index) => {
    const bits = ready[index] ?? 0;
    // A connection of which an event is wanted tells its error to the call that is made next. The other one must be asked, or
    // a peer that broke off while its receiver is slow would go unnoticed.
    if (events === 0 && (bits & pollBits.error) !== 0) throwPendingError(connection);
    if ((bits & pollBits.hangUp) !== 0) connection.hungUp = true;
  });
}

function throwPendingError({ side, fd }: Connection): void {
  const errno = takeSocketError(fd);
  if (errno === 0) return;
  const direction = side === 'local' ? 'to-remote' : 'to-local';
  throw new ConnectionBroke({ t: 'failed', side, direction, errno, name: errnoName(errno) });
}
