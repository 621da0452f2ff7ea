import type { SharedCounters } from './counters.js';
import type { DirectionJob } from './direction.js';
import type { PathName, WorkerEnd } from './pump-end.js';
import type { TlsSession } from './tls-session.js';

/** All that a worker gets. The descriptors stay the main thread's to close. */
export interface PumpJob {
  readonly path: PathName;
  /** Null on every path but `tls`. */
  readonly tls: TlsSession | null;
  readonly local: number;
  /** Over which the end that `local` will be is handed over; null when it is that already. */
  readonly control: number | null;
  readonly remote: number;
  /** An eventfd that becomes readable when the pump is to look for an abort. */
  readonly wake: number;
  readonly toLocal: DirectionJob;
  readonly toRemote: DirectionJob;
  readonly counters: SharedArrayBuffer;
}

/** What a path tells and is told while it moves bytes. */
export interface PathListener {
  /** One direction has ended and the other has not; told at most once. */
  halfClosed(): void;
  /** Aborted when an abort is wanted. A path that blocks its thread cannot hear it, and asks `counters.abortWanted` when it is woken. */
  readonly signal: AbortSignal;
}

/** This path cannot move these bytes, for `reason`. What it had read and not yet passed on goes first on another path. */
export interface Unsupported {
  readonly t: 'unsupported';
  readonly reason: string;
  readonly unsent: { readonly toLocal: Uint8Array; readonly toRemote: Uint8Array };
}

/**
 * Moves bytes both ways until both directions have ended, a connection breaks or an abort is wanted. All paths keep one contract:
 * a half-close comes after the last byte, memory is bounded while a receiver takes nothing, a break is seen on a connection that is not
 * being read, and the descriptors of the job stay open.
 */
export type DataPath = (
  job: PumpJob,
  counters: SharedCounters,
  listener: PathListener,
) => WorkerEnd | Unsupported | Promise<WorkerEnd>;
