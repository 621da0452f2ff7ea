import { VmferryError } from '@vmferry/errors';
import type { Clock, Timer } from '@vmferry/seams';
import { infoOf, type JobEnd, type JobInfo, type JobProgress, noProgress } from './job-info.js';
import {
  type AsyncJob,
  type Decision,
  type Denial,
  decide,
  type HeldAsyncJob,
  initialMask,
  type JobPhase,
  type JobRequest,
  type JobState,
  type PlainJob,
  phases,
  type SyncJob,
} from './job-state.js';

export interface DomainJobsOptions {
  readonly clock: Clock;
  /** Name of the domain, for messages. */
  readonly domain: string;
  /** How long a request waits for its turn. Default 30,000 (libvirt-protocol, A4). */
  readonly waitMs?: number;
  /**
   * Saves the state; called for what a restart has to know, async jobs and destroy. It gets each new state in order. When it throws,
   * the step that asked for the change is refused and undone.
   */
  readonly onChange?: (state: JobState) => Promise<void>;
}

/** Ends a sync job; ending it twice is no error. */
export type Release = () => Promise<void>;

/** An async job that was begun; it is stale once the job has ended, also when somebody else has discarded it. */
export interface AsyncJobHandle {
  readonly id: number;
  readonly kind: AsyncJob;
}

interface Waiter {
  readonly request: JobRequest;
  readonly start: () => void;
  readonly fail: (error: VmferryError) => void;
  readonly timer: Timer;
}

const WAIT_MS = 30_000;
const WAITERS_MAX = 256;

/** The jobs of one domain: who may act on it now, and the queue of those who wait (S10). */
export class DomainJobs {
  readonly #options: DomainJobsOptions;
  readonly #waiters = new Set<Waiter>();
  #state: JobState = { sync: null, async: null, guestAlive: true };
  #progress: JobProgress = noProgress;
  #last: JobInfo | null = null;
  #lastId = 0;

  constructor(options: DomainJobsOptions) {
    this.#options = options;
  }

  get state(): JobState {
    return this.#state;
  }

  /** The async job that is active now, for the step of a migration that finds its job already begun. */
  get active(): AsyncJobHandle | null {
    return this.#state.async;
  }

  /**
   * Begins a sync job as soon as its turn comes. Throws `domain-busy` after the wait, naming the holder, and at once what can never
   * run: `no-active-job`, `not-migrating`, `migration-live`; `too-many-requests` when the queue is full.
   */
  begin(job: PlainJob, owner: string): Promise<Release> {
    return this.#beginSync({ t: 'sync', job }, job, owner);
  }

  /** Begins a command of the async job itself. Throws also `no-active-job` when that job is over, and `guest-gone`. */
  nested(handle: AsyncJobHandle, owner = 'its async job'): Promise<Release> {
    return this.#beginSync({ t: 'nested', asyncId: handle.id }, 'async-nested', owner);
  }

  /** Begins an async job as soon as no other job is active. Throws like `begin`. */
  async beginAsync(kind: AsyncJob, owner: string): Promise<AsyncJobHandle> {
    const job = await this.#enter({ t: 'async', kind }, owner, () =>
      this.#startAsync(kind, 'none', owner, this.#options.clock.wall()),
    );
    await this.#save(() => this.#endAsync(job));
    return job;
  }

  /** Takes up again, after a restart of the agent, the async job that the state file tells of. Nothing else may be active. */
  adoptAsync(kind: AsyncJob, phase: JobPhase, startedAt: Date, owner = 'the agent before its restart'): AsyncJobHandle {
    if (decide(this.#state, { t: 'async', kind }).t !== 'run') {
      throw new VmferryError('internal', `The ${kind} of domain ${this.#options.domain} was to be adopted beside another job.`);
    }
    return this.#startAsync(kind, phase, owner, startedAt);
  }

  /**
   * Ends an async job. A stale handle is no error: whoever discarded the job has ended it. How it ended is told by `last`; without
   * `end` the job had not really begun, and is not told of.
   */
  async endAsync(handle: AsyncJobHandle, end?: JobEnd): Promise<void> {
    const info = this.info();
    if (!this.#endAsync(handle)) return;
    if (end !== undefined) this.#last = { ...info, type: end };
    await this.#options.onChange?.(this.#state);
  }

  /** Ends whatever async job is active, so that its domain can be destroyed (S19). */
  async discardAsync(): Promise<void> {
    if (this.#state.async !== null) await this.endAsync(this.#state.async, 'cancelled');
  }

  /** Sets which sync jobs run beside the async job; destroy always does. Throws `no-active-job` for a stale handle. */
  async setMask(handle: AsyncJobHandle, mask: readonly PlainJob[]): Promise<void> {
    await this.#changeAsync(handle, { mask: mask.includes('destroy') ? [...mask] : [...mask, 'destroy'] });
  }

  /** Moves the phase on. The same phase again is no change; an earlier one throws `phase-backward` (I9). */
  async phase(handle: AsyncJobHandle, phase: JobPhase): Promise<void> {
    const { phase: now } = this.#activeJob(handle);
    if (phases.indexOf(phase) < phases.indexOf(now)) {
      throw new VmferryError(
        'phase-backward',
        `The ${handle.kind} of domain ${this.#options.domain} is in phase ${now} and cannot go back to ${phase}.`,
      );
    }
    if (phase !== now) await this.#changeAsync(handle, { phase });
  }

  /** Keeps the latest progress of the async job for `info`. Throws `no-active-job` for a stale handle. */
  report(handle: AsyncJobHandle, progress: JobProgress): void {
    this.#activeJob(handle);
    this.#progress = progress;
  }

  info(): JobInfo {
    return infoOf(this.#state.async, this.#progress, this.#options.clock.monotonicMs());
  }

  /** The async job that ended last, as it was then; null when none has since the agent was started. */
  get last(): JobInfo | null {
    return this.#last;
  }

  /** Says whether the domain has a QEMU. Without one, nested jobs fail with `guest-gone`, also those that wait. */
  setGuestAlive(guestAlive: boolean): void {
    this.#apply({ guestAlive });
  }

  async #beginSync(request: JobRequest, job: SyncJob, owner: string): Promise<Release> {
    const held = await this.#enter(request, owner, () => {
      const taken = { job, owner, sinceMs: this.#options.clock.monotonicMs() };
      this.#apply({ sync: taken });
      return taken;
    });
    const tracked = job === 'destroy';
    const end = () => {
      if (this.#state.sync !== held) return false;
      this.#apply({ sync: null });
      return true;
    };
    if (tracked) await this.#save(end);
    return async () => {
      if (end() && tracked) await this.#options.onChange?.(this.#state);
    };
  }

  /** Runs `start` when the decision allows it: now, or in the same turn of the event loop as the change that allows it. */
  #enter<T>(request: JobRequest, owner: string, start: () => T): Promise<T> {
    const { clock, waitMs = WAIT_MS } = this.#options;
    const decision = decide(this.#state, request);
    if (decision.t === 'run') return Promise.resolve(start());
    if (decision.t === 'deny') return Promise.reject(this.#denied(decision.reason));
    if (this.#waiters.size >= WAITERS_MAX) {
      const detail = `${WAITERS_MAX} requests already wait for domain ${this.#options.domain}; try again later.`;
      return Promise.reject(new VmferryError('too-many-requests', detail));
    }
    return new Promise((resolve, reject) => {
      const timer = clock.after(waitMs, () => {
        this.#waiters.delete(waiter);
        reject(this.#busy(request, owner, waitMs));
      });
      const waiter: Waiter = { request, start: () => resolve(start()), fail: reject, timer };
      this.#waiters.add(waiter);
    });
  }

  /** Every change goes through here, so that nobody who could run is left waiting. */
  #apply(change: Partial<JobState>): void {
    this.#state = { ...this.#state, ...change };
    for (const waiter of this.#waiters) {
      const decision = decide(this.#state, waiter.request);
      if (decision.t === 'wait') continue;
      this.#waiters.delete(waiter);
      waiter.timer.cancel();
      if (decision.t === 'run') waiter.start();
      else waiter.fail(this.#denied(decision.reason));
    }
  }

  #startAsync(kind: AsyncJob, phase: JobPhase, owner: string, startedAt: Date): HeldAsyncJob {
    const { clock } = this.#options;
    const ageMs = Math.max(0, clock.wall().getTime() - startedAt.getTime());
    this.#lastId += 1;
    const job = {
      id: this.#lastId,
      kind,
      owner,
      phase,
      startedAt,
      sinceMs: clock.monotonicMs() - ageMs,
      mask: initialMask[kind],
    };
    this.#progress = noProgress;
    this.#apply({ async: job });
    return job;
  }

  #endAsync(handle: AsyncJobHandle): boolean {
    if (this.#state.async?.id !== handle.id) return false;
    this.#apply({ async: null });
    return true;
  }

  #activeJob(handle: AsyncJobHandle): HeldAsyncJob {
    if (this.#state.async?.id !== handle.id) throw this.#denied('async-job-over');
    return this.#state.async;
  }

  async #changeAsync(handle: AsyncJobHandle, change: Partial<Pick<HeldAsyncJob, 'phase' | 'mask'>>): Promise<void> {
    const before = this.#activeJob(handle);
    const after = { ...before, ...change };
    this.#apply({ async: after });
    await this.#save(() => {
      if (this.#state.async === after) this.#apply({ async: before });
    });
  }

  /** Saves the present state; when that fails, undoes the change that was to be saved. */
  async #save(undo: () => void): Promise<void> {
    try {
      await this.#options.onChange?.(this.#state);
    } catch (error) {
      undo();
      throw error;
    }
  }

  #busy(request: JobRequest, owner: string, waitMs: number): VmferryError {
    const { domain, clock } = this.#options;
    const wanted = request.t === 'sync' ? request.job : request.t === 'async' ? request.kind : 'a nested job';
    const holder = holderOf(this.#state, decide(this.#state, request));
    const heldMs = holder === null ? 0 : Math.round(clock.monotonicMs() - holder.sinceMs);
    const held =
      holder === null ? 'it is free again' : `it is held by ${holder.job} of ${holder.owner} for ${Math.floor(heldMs / 1000)} s`;
    return new VmferryError(
      'domain-busy',
      `${wanted} of ${owner} waited ${waitMs / 1000} s for domain ${domain}: ${held}. Try again later.`,
      {
        data: {
          domain,
          waitedMs: waitMs,
          ...(holder === null ? {} : { holder: { job: holder.job, owner: holder.owner, heldMs } }),
        },
      },
    );
  }

  #denied(reason: Denial): VmferryError {
    const { domain } = this.#options;
    switch (reason) {
      case 'no-active-job':
        return new VmferryError('no-active-job', `No job is active on domain ${domain}: there is nothing to abort.`);
      case 'incoming-migration':
        return new VmferryError(
          'migration-live',
          `Domain ${domain} is coming in by a migration, which cannot be aborted at its destination: destroy the domain instead.`,
        );
      case 'not-migrating':
        return new VmferryError('not-migrating', `Domain ${domain} is not being migrated away.`);
      case 'async-job-over':
        return new VmferryError('no-active-job', `The job that this step belongs to is no longer active on domain ${domain}.`);
      case 'guest-gone':
        return new VmferryError('guest-gone', `Domain ${domain} is no longer running.`);
      default:
        return reason satisfies never;
    }
  }
}

function holderOf(state: JobState, decision: Decision): { job: string; owner: string; sinceMs: number } | null {
  if (decision.t !== 'wait') return null;
  if (decision.for === 'sync') return state.sync;
  return state.async === null ? null : { ...state.async, job: state.async.kind };
}
