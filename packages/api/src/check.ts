import { migrationId } from './common.js';
import { migrationSide } from './migration.js';
import { prepareRequest } from './steps.js';
import { z } from './z.js';

/** A blocker has the code that the migration itself would be refused with; a warning has one of its own. */
const finding = z.object({
  code: z.string(),
  side: migrationSide,
  detail: z.string(),
  /** The field of the request or the file that it is about. */
  path: z.string().optional(),
});
export type CheckFinding = z.infer<typeof finding>;

export const migrationForecast = z
  .object({
    durationMs: z.int().nullable(),
    /** How long the guest would stand still for its last memory; the switch itself, some tens of milliseconds, comes on top. */
    downtimeMs: z.int().nullable(),
    converges: z.boolean().nullable(),
    /** Why a figure is missing, or what is in the way of convergence. */
    reason: z.string().nullable(),
    /** What it was computed from. */
    basis: z.object({
      /** All of the guest's memory: how much of it is in use is not known. */
      memoryBytes: z.int(),
      /** What QEMU has measured just now; 0 of a guest that stands still. */
      dirtyRateBytesPerSec: z.int().nullable(),
      /** The bandwidth that was given, or the rate of the last migration to the same destination; the smaller of the two. */
      bandwidthBytesPerSec: z.int().nullable(),
      downtimeMsMax: z.int(),
    }),
  })
  .openapi('MigrationForecast');
export type MigrationForecast = z.infer<typeof migrationForecast>;

/** POST /v1/migrations/check on a source-agent; its body is that of POST /v1/migrations. */
export const migrationCheck = z
  .object({
    /** No blocker was found on either side. */
    ok: z.boolean(),
    blockers: z.array(finding),
    warnings: z.array(finding),
    forecast: migrationForecast,
  })
  .openapi('MigrationCheck');
export type MigrationCheck = z.infer<typeof migrationCheck>;

/** POST /v1/migrations/check on a destination-agent: a Prepare that is only looked at. */
export const checkPrepareRequest = prepareRequest.extend({ id: migrationId }).openapi('CheckPrepare');
export type CheckPrepareRequest = z.input<typeof checkPrepareRequest>;

export const checkPrepareReply = z
  .object({ ok: z.boolean(), blockers: z.array(finding), warnings: z.array(finding) })
  .openapi('PrepareCheck');
export type CheckPrepareReply = z.infer<typeof checkPrepareReply>;
