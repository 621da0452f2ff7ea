export { type AsyncJobHandle, DomainJobs, type DomainJobsOptions, type Release } from './domain-jobs.js';
export type { JobAmount, JobEnd, JobInfo, JobInfoType, JobProgress } from './job-info.js';
export {
  type AsyncJob,
  asyncJobs,
  type Decision,
  type Denial,
  decide,
  type HeldAsyncJob,
  type HeldSyncJob,
  type JobPhase,
  type JobRequest,
  type JobState,
  type PlainJob,
  phases,
  type SyncJob,
  syncJobs,
} from './job-state.js';
