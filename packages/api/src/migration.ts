import {
  bandwidthMibPerSec,
  domainName,
  domainRef,
  domainXml,
  downtimeMs,
  flagNames,
  migrationId,
  migrationProtocol,
  parallelConnections,
  problem,
  timestamp,
} from './common.js';
import { displayPlace } from './domain.js';
import { forceCompleteReport, migrationTimeouts, timeoutsReport } from './timeouts.js';
import { agentUrl, ipAddress, migrationUri } from './urls.js';
import { z } from './z.js';

export const migrationState = z.enum(['PENDING', 'RUNNING', 'CANCELLING', 'SUCCEEDED', 'FAILED', 'CANCELLED', 'NEEDS_ATTENTION']);
export type MigrationState = z.infer<typeof migrationState>;

export const migrationPhase = z.enum(['begin', 'prepare', 'perform', 'finish', 'confirm']);
export type MigrationPhase = z.infer<typeof migrationPhase>;

export const migrationSide = z.enum(['source', 'destination']);

export const memoryProgress = z.object({
  totalBytes: z.int(),
  /** The most of the guest's memory that the destination has held as it is now; a new pass takes nothing from it. */
  processedBytes: z.int(),
  /** What has gone over the wire. A page of zeros costs a few bytes, one that is dirtied again goes again. */
  transferredBytes: z.int(),
  remainingBytes: z.int(),
  dirtyRateBytesPerSec: z.int(),
  iteration: z.int(),
  zeroPages: z.int(),
});

export const downtimeReport = z.object({
  /** What QEMU may stop the guest for at present; it begins at 10 ms and is raised by measurement (qemu-behaviour). */
  limitMs: z.int(),
  /** How long what was left after the last pass takes at the measured rate; null before the second pass. */
  expectedMs: z.int().nullable(),
  /** STOP on the source to the RESUME on the destination, on the source's clock, when both are known. */
  actualMs: z.int().nullable(),
  /** The same to the first frame by which the guest's interfaces were announced there; null when there was none, and until it is known. */
  announcedMs: z.int().nullable().default(null),
});

export const migrationProgress = z
  .object({
    memory: memoryProgress,
    throughputBytesPerSec: z.int(),
    downtime: downtimeReport,
    /** Whether less was left after the last pass than after those before it; null until two passes are known. */
    converging: z.boolean().nullable(),
    hint: z.string().nullable(),
  })
  .openapi('MigrationProgress');
export type MigrationProgress = z.infer<typeof migrationProgress>;

const sideBlock = z.object({ agent: z.string().nullable(), hostName: z.string().nullable(), state: z.string() });

/** Its own outcome, because a cancel is a request: QEMU may complete first (handover rule 1). */
export const cancelReport = z.object({
  requestedAt: timestamp,
  requestedBy: z.string(),
  outcome: z.enum(['PENDING', 'SUCCEEDED', 'FAILED', 'TOO_LATE']),
});

export const migrationResource = z
  .object({
    id: migrationId,
    generation: z.int(),
    /** Which agent tells this. */
    side: migrationSide,
    state: migrationState,
    phase: migrationPhase,
    phaseTransitions: z.array(z.object({ phase: migrationPhase, side: migrationSide, at: timestamp })),
    domain: z.object({ uuid: z.string(), name: z.string(), destinationName: z.string() }),
    protocol: migrationProtocol,
    mode: z.object({ driver: z.enum(['peer-to-peer', 'managed']), transport: z.enum(['direct', 'tunnelled']) }),
    flags: z.array(z.string()),
    /** The field an operator looks at first. */
    guest: z.object({ runningOn: z.enum(['source', 'destination', 'none', 'unknown']), detail: z.string() }),
    source: sideBlock,
    destination: sideBlock,
    /** Where the clients of the guest's display go on at the destination; null for a guest without one, before Perform and when it has stayed. */
    display: displayPlace.extend({ hostName: z.string() }).nullable().default(null),
    /** The destination's outcome record as last read; it decides. */
    outcome: z.enum(['open', 'pending', 'committed', 'aborted', 'unknown']).nullable(),
    parameters: z.object({
      bandwidthBytesPerSec: z.int().nullable(),
      downtimeMsMax: z.int(),
      /** Null for a migration that is not parallel. */
      parallelConnections: z.int().nullable().default(null),
    }),
    progress: migrationProgress.nullable(),
    cancel: cancelReport.nullable(),
    /** Null at a destination: the source keeps the time. */
    timeouts: timeoutsReport.nullable(),
    forceComplete: forceCompleteReport.nullable(),
    /** Why a destination is kept paused, and what to do (handover rule 5). */
    held: z.object({ reason: z.string(), since: timestamp, hint: z.string() }).nullable(),
    error: problem.nullable(),
    createdAt: timestamp,
    finishedAt: timestamp.nullable(),
  })
  .openapi('Migration');
export type MigrationResource = z.infer<typeof migrationResource>;

export const migrationList = z
  .object({ migrations: z.array(migrationResource), nextCursor: z.string().nullable() })
  .openapi('MigrationList');
export type MigrationList = z.infer<typeof migrationList>;

/** POST /v1/migrations on a source-agent: a peer-to-peer migration that this agent drives to its end. */
export const createMigration = z
  .strictObject({
    id: migrationId.optional(),
    domain: domainRef,
    /** The base URL of the destination-agent, libvirt's dconnuri. */
    destination: agentUrl,
    /** How the source is to reach that host for the stream; without it, as the destination names itself (S32). */
    uri: migrationUri.optional(),
    listenAddress: ipAddress.optional(),
    flags: flagNames.default([]),
    destinationName: domainName.optional(),
    xml: domainXml.optional(),
    bandwidthMibPerSec: bandwidthMibPerSec.optional(),
    downtimeMsMax: downtimeMs.optional(),
    timeouts: migrationTimeouts.optional(),
    parallelConnections: parallelConnections.optional(),
  })
  .openapi('CreateMigration');
export type CreateMigration = z.input<typeof createMigration>;

export const migrationParameters = z
  .strictObject({
    bandwidthMibPerSec: bandwidthMibPerSec.optional(),
    downtimeMsMax: downtimeMs.optional(),
    /** Those that are given change, the others stay. */
    timeouts: migrationTimeouts.optional(),
  })
  .refine(
    (body) => Object.values(body).some((value) => value !== undefined),
    'give bandwidthMibPerSec, downtimeMsMax, timeouts or several of them',
  )
  .openapi('MigrationParameters');
export type MigrationParameters = z.input<typeof migrationParameters>;

export const migrationQuery = z.strictObject({
  state: migrationState.optional(),
  domain: domainRef.optional(),
  limit: z.coerce.number().int().min(1).max(500).default(100),
  cursor: z.string().max(128).optional(),
});

/** Long poll: answers as soon as the generation is above `afterGeneration`, or unchanged when the time is over. */
export const waitQuery = z.strictObject({
  afterGeneration: z.coerce.number().int().min(0).optional(),
  timeoutSeconds: z.coerce.number().int().min(0).max(60).default(30),
});
