import type { MigrationProgress } from '@vmferry/api';
import type { JobAmount, JobProgress } from '@vmferry/jobs';

const noFiles: JobAmount = { totalBytes: 0, processedBytes: 0, remainingBytes: 0 };

/** The progress of a migration as a job's (libvirt-protocol, A4). Its end can be told as long as memory is sent faster than it is dirtied. */
export function jobProgressOf({ memory: all, throughputBytesPerSec }: MigrationProgress): JobProgress {
  const { totalBytes, processedBytes, remainingBytes, dirtyRateBytesPerSec } = all;
  const memory = { totalBytes, processedBytes, remainingBytes };
  const gainBytesPerSec = throughputBytesPerSec - dirtyRateBytesPerSec;
  const timeRemainingMs = gainBytesPerSec > 0 ? Math.ceil((remainingBytes / gainBytesPerSec) * 1_000) : null;
  return { type: timeRemainingMs === null ? 'unbounded' : 'bounded', timeRemainingMs, data: memory, memory, file: noFiles };
}
