import type { AsyncJob, HeldAsyncJob, JobPhase } from './job-state.js';

/** libvirt-protocol, A4. `bounded`: the end can be told from the progress. */
export type JobInfoType = 'none' | 'bounded' | 'unbounded' | 'completed' | 'failed' | 'cancelled';

/** Bytes. */
export interface JobAmount {
  readonly totalBytes: number;
  readonly processedBytes: number;
  readonly remainingBytes: number;
}

/** How an async job has ended. */
export type JobEnd = 'completed' | 'failed' | 'cancelled';

/** What the owner of an async job tells of its progress. */
export interface JobProgress {
  readonly type: 'bounded' | 'unbounded';
  readonly timeRemainingMs: number | null;
  readonly data: JobAmount;
  readonly memory: JobAmount;
  readonly file: JobAmount;
}

export interface JobInfo extends Omit<JobProgress, 'type'> {
  readonly type: JobInfoType;
  readonly job: AsyncJob | null;
  readonly phase: JobPhase;
  readonly startedAt: Date | null;
  /** Taken when it is read, so that it is right on the destination too, where nobody reports progress. */
  readonly timeElapsedMs: number;
}

const nothing: JobAmount = { totalBytes: 0, processedBytes: 0, remainingBytes: 0 };

/** What is reported before the owner has said anything. */
export const noProgress: JobProgress = {
  type: 'unbounded',
  timeRemainingMs: null,
  data: nothing,
  memory: nothing,
  file: nothing,
};

export function infoOf(job: HeldAsyncJob | null, progress: JobProgress, nowMs: number): JobInfo {
  if (job === null) return { ...noProgress, type: 'none', job: null, phase: 'none', startedAt: null, timeElapsedMs: 0 };
  const { kind, phase, startedAt, sinceMs } = job;
  return { ...progress, job: kind, phase, startedAt, timeElapsedMs: Math.max(0, nowMs - sinceMs) };
}
