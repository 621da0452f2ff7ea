/**
 * Which jobs may run on a domain together: the rules of libvirt-protocol, A4, as one pure function (S10).
 *
 * A *sync job* is short and talks to the monitor: one at a time. An *async job* is long (a migration, a save); while it is active a
 * mask says which sync jobs may run beside it. The async job's own commands are *nested* sync jobs: they skip the mask, but take
 * their turn like every sync job.
 */
export const syncJobs = ['query', 'destroy', 'suspend', 'modify', 'abort', 'migration-op', 'async-nested'] as const;
export type SyncJob = (typeof syncJobs)[number];
/** What a caller may begin; a nested job is begun through its async job. */
export type PlainJob = Exclude<SyncJob, 'async-nested'>;

export const asyncJobs = ['migration-out', 'migration-in', 'save', 'dump'] as const;
export type AsyncJob = (typeof asyncJobs)[number];

/** In the order of the protocol: a phase never goes back (I9). */
export const phases = [
  'none',
  'perform2',
  'begin3',
  'perform3',
  'perform3_done',
  'confirm3_cancelled',
  'confirm3',
  'prepare',
  'finish2',
  'finish3',
] as const;
export type JobPhase = (typeof phases)[number];

export interface HeldSyncJob {
  readonly job: SyncJob;
  /** Who asked for it, in words for a person: a principal, an address. */
  readonly owner: string;
  readonly sinceMs: number;
}

export interface HeldAsyncJob {
  /** Tells this job from an earlier one of the same kind. */
  readonly id: number;
  readonly kind: AsyncJob;
  readonly owner: string;
  readonly sinceMs: number;
  /** For people and for the state file; durations are taken from `sinceMs`. */
  readonly startedAt: Date;
  readonly phase: JobPhase;
  readonly mask: readonly PlainJob[];
}

export interface JobState {
  readonly sync: HeldSyncJob | null;
  readonly async: HeldAsyncJob | null;
  /** False once QEMU is gone: nested jobs are refused from then on. */
  readonly guestAlive: boolean;
}

export type JobRequest =
  | { readonly t: 'sync'; readonly job: PlainJob }
  | { readonly t: 'async'; readonly kind: AsyncJob }
  | { readonly t: 'nested'; readonly asyncId: number };

/** Why a request can never run as things are, however long it waits. */
export type Denial = 'no-active-job' | 'incoming-migration' | 'not-migrating' | 'async-job-over' | 'guest-gone';

export type Decision =
  | { readonly t: 'run' }
  | { readonly t: 'wait'; readonly for: 'sync' | 'async' }
  | { readonly t: 'deny'; readonly reason: Denial };

const besideSaving: readonly PlainJob[] = ['query', 'destroy', 'abort'];

/** The sync jobs that an async job lets run beside it when it begins. */
export const initialMask: Readonly<Record<AsyncJob, readonly PlainJob[]>> = {
  'migration-out': [...besideSaving, 'suspend', 'migration-op'],
  'migration-in': ['destroy'],
  save: besideSaving,
  dump: besideSaving,
};

/**
 * Whether `request` may start now. It is asked anew after every wait: while a sync job waited for its turn, an async job may have
 * begun (S10).
 */
export function decide(state: JobState, request: JobRequest): Decision {
  switch (request.t) {
    case 'sync':
      return decideSync(state, request.job);
    case 'async':
      return state.async === null ? whenSyncIsFree(state) : { t: 'wait', for: 'async' };
    case 'nested':
      if (!state.guestAlive) return { t: 'deny', reason: 'guest-gone' };
      if (state.async?.id !== request.asyncId) return { t: 'deny', reason: 'async-job-over' };
      return whenSyncIsFree(state);
    default:
      return request satisfies never;
  }
}

function decideSync(state: JobState, job: PlainJob): Decision {
  const denial = deniedAtOnce(state.async, job);
  if (denial !== null) return { t: 'deny', reason: denial };
  if (state.async !== null && !state.async.mask.includes(job)) return { t: 'wait', for: 'async' };
  return whenSyncIsFree(state);
}

/** S16: an incoming migration is destroyed, not aborted. S55: speed and downtime are set on an outgoing migration only. */
function deniedAtOnce(async: HeldAsyncJob | null, job: PlainJob): Denial | null {
  if (job === 'abort' && async === null) return 'no-active-job';
  if (job === 'abort' && async?.kind === 'migration-in') return 'incoming-migration';
  if (job === 'migration-op' && async?.kind !== 'migration-out') return 'not-migrating';
  return null;
}

function whenSyncIsFree(state: JobState): Decision {
  return state.sync === null ? { t: 'run' } : { t: 'wait', for: 'sync' };
}
