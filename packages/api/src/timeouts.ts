import { limits } from './limits.js';
import { z } from './z.js';

/** What QEMU could do from the day that post-copy is there; until then it is refused by its name. */
const noPostcopy = (issue: { readonly input?: unknown }): string | undefined =>
  issue.input === 'postcopy' ? 'post-copy does not exist here yet; give another' : undefined;

/** What is done when the time is over: `cancel`, the guest runs on at the source; `pause`, it stands still so that the rest goes over. */
const timeoutAction = z.enum(['cancel', 'pause'], { error: noPostcopy });
export type TimeoutAction = z.infer<typeof timeoutAction>;

/**
 * How long a migration may take, counted from QEMU's `migrate`: `totalSeconds` and `secondsPerGib` of the guest's memory are added up;
 * `stallSeconds` is the time without progress. What is not given is not watched. Nothing of it acts once QEMU has completed.
 */
export const migrationTimeouts = z
  .strictObject({
    totalSeconds: z.int().min(1).max(limits.timeoutSecondsMax).optional(),
    secondsPerGib: z.int().min(1).max(limits.timeoutSecondsPerGibMax).optional(),
    stallSeconds: z.int().min(1).max(limits.stallSecondsMax).optional(),
    /** Default `cancel`. */
    action: timeoutAction.optional(),
  })
  .openapi('MigrationTimeouts');
export type MigrationTimeouts = z.infer<typeof migrationTimeouts>;

export const timeoutsReport = z
  .object({
    totalSeconds: z.int().nullable(),
    secondsPerGib: z.int().nullable(),
    stallSeconds: z.int().nullable(),
    action: z.enum(['cancel', 'pause']),
  })
  .openapi('TimeoutsReport');

/** POST /v1/migrations/:id/force-complete: what a timeout with the action `pause` does, at once. */
export const forceComplete = z.strictObject({ strategy: z.enum(['pause'], { error: noPostcopy }) }).openapi('ForceComplete');
export type ForceComplete = z.input<typeof forceComplete>;

/** The guest was stopped on purpose, so that its memory can be sent to the end; a rollback runs it again. */
export const forceCompleteReport = z.object({ strategy: z.literal('pause'), requestedAt: z.string(), requestedBy: z.string() });
