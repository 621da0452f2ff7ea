import { VmferryError } from '@vmferry/errors';
import type { AsyncJobHandle, JobEnd } from '@vmferry/jobs';
import type { Domain } from '../domains/domain.js';

/** The async job of a save or a dump, while it lasts. */
export interface FileJob {
  /** Aborted with `save-cancelled`. */
  readonly signal: AbortSignal;
  /** How much of the guest's memory is in the file. */
  readonly report: (bytes: {
    readonly totalBytes: number;
    readonly remainingBytes: number;
    readonly processedBytes: number;
  }) => void;
}

const nothing = { totalBytes: 0, processedBytes: 0, remainingBytes: 0 };

/** Acts as an async job of the domain, which shows its progress, lets queries go on beside it (S9), and can be aborted. */
export async function asFileJob<T>(
  domain: Domain,
  kind: 'save' | 'dump',
  principal: string,
  act: (job: FileJob) => Promise<T>,
): Promise<T> {
  const handle = await domain.jobs.beginAsync(kind, principal);
  const cancel = new AbortController();
  domain.setFileJob({
    cancel: (by) =>
      cancel.abort(
        new VmferryError('save-cancelled', `The ${kind} of domain ${domain.name} was cancelled by ${by}; the guest goes on.`),
      ),
  });
  let end: JobEnd = 'failed';
  try {
    const done = await act({ signal: cancel.signal, report: (memory) => report(domain, handle, memory) });
    end = 'completed';
    return done;
  } catch (thrown) {
    if (cancel.signal.aborted) end = 'cancelled';
    throw thrown;
  } finally {
    domain.setFileJob(null);
    await domain.jobs.endAsync(handle, end);
  }
}

function report({ jobs }: Domain, handle: AsyncJobHandle, memory: Parameters<FileJob['report']>[0]): void {
  if (jobs.active?.id !== handle.id) return;
  jobs.report(handle, { type: 'bounded', timeRemainingMs: null, data: memory, memory, file: nothing });
}
