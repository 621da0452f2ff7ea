import { asyncJobKind, timestamp } from './common.js';
import { z } from './z.js';

/*
 * What can be asked about an active domain. All of it is answered while a migration runs, of any mode, within 100 ms (S9, S25).
 */

/** GET /v1/domains/:domain/block-stats. `target` is the definition's name of the disk, or QEMU's when the definition has none. */
export const blockStats = z
  .object({
    disks: z.array(
      z.object({
        target: z.string(),
        readBytes: z.int(),
        readRequests: z.int(),
        writeBytes: z.int(),
        writeRequests: z.int(),
        flushRequests: z.int(),
      }),
    ),
  })
  .openapi('BlockStats');
export type BlockStats = z.infer<typeof blockStats>;

/** GET /v1/domains/:domain/block-info, as virsh's domblkinfo: the disks that have a medium. */
export const blockInfo = z
  .object({
    disks: z.array(
      z.object({
        target: z.string(),
        path: z.string(),
        /** What the guest sees. */
        capacityBytes: z.int(),
        /** What is allocated on the storage; null when QEMU cannot tell. */
        allocationBytes: z.int().nullable(),
        /** The length of the file, or of the block device; null when QEMU cannot tell. */
        physicalBytes: z.int().nullable(),
      }),
    ),
  })
  .openapi('BlockInfo');
export type BlockInfo = z.infer<typeof blockInfo>;

/** GET /v1/domains/:domain/memory-stats. What the guest itself makes of its memory is not known here: `unknown` says why. */
export const memoryStats = z
  .object({
    /** What the guest has now: the balloon's figure, or without a balloon all that it was given. */
    actualKib: z.int(),
    maximumKib: z.int(),
    balloon: z.boolean(),
    /** Resident memory of QEMU's process. */
    rssKib: z.int(),
    unknown: z.string(),
  })
  .openapi('MemoryStats');
export type MemoryStats = z.infer<typeof memoryStats>;

const amount = z.object({ totalBytes: z.int(), processedBytes: z.int(), remainingBytes: z.int() });

const jobReport = z.object({
  /** libvirt-protocol, A4. `bounded`: the end can be told from the progress. */
  type: z.enum(['none', 'bounded', 'unbounded', 'completed', 'failed', 'cancelled']),
  kind: asyncJobKind.nullable(),
  phase: z.string(),
  startedAt: timestamp.nullable(),
  timeElapsedMs: z.int(),
  timeRemainingMs: z.int().nullable(),
  data: amount,
  memory: amount,
  file: amount,
});

/**
 * GET /v1/domains/:domain/job, as virsh's domjobinfo: the async job of now (of type `none` when there is none), and the last one
 * that has ended since the agent was started.
 */
export const domainJob = z.object({ current: jobReport, last: jobReport.nullable() }).openapi('DomainJob');
export type DomainJob = z.infer<typeof domainJob>;
