import type { PumpJob } from './data-path.js';
import type { PathName, WorkerEnd } from './pump-end.js';

/** What the worker sends: which other path it has taken and why, that one direction has ended and the other has not, at last how the pump ended. */
export type WorkerMessage =
  | WorkerEnd
  | { readonly t: 'half-closed' }
  | { readonly t: 'fell-back'; readonly path: PathName; readonly reason: string };

/** What the worker is sent. An abort is also told by the counters and the eventfd of the job. */
export type WorkerOrder = { readonly t: 'move'; readonly job: PumpJob } | { readonly t: 'abort' };
