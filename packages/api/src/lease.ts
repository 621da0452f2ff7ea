import { uuid } from './common.js';
import { limits } from './limits.js';
import { z } from './z.js';

const epoch = z.string().regex(/^(0|[1-9][0-9]{0,17})$/, 'the epoch of the lease, a whole number');
const reason = z.string().trim().min(8).max(limits.reasonCharsMax);

/** Which guest's lease. */
export const leaseParams = z.strictObject({ uuid });

/** GET /v1/leases/:uuid */
export const leaseResource = z
  .object({
    uuid,
    driver: z.string(),
    /** Grows with each change of owner. */
    epoch,
    /** Whether this host has it. */
    heldHere: z.boolean(),
  })
  .openapi('Lease');
export type LeaseResource = z.infer<typeof leaseResource>;

/**
 * POST /v1/leases/:uuid/break on the source-agent of any host: frees the lease of an owner that cannot run the guest any more. A lease that nobody has renewed
 * is no proof. Audited.
 */
export const breakLeaseRequest = z
  .strictObject({
    /** Of the owner that is dead; a lease that has moved on since is refused. */
    epoch,
    proof: z.discriminatedUnion('t', [
      /** A fencing device or a cloud API has answered that this host is off: which one. */
      z.strictObject({ t: z.literal('fenced'), by: reason }),
      /** The watchdog of the lock driver sanlock has reset that host: how that is known. */
      z.strictObject({ t: z.literal('watchdog'), by: reason }),
      /** A person says so: who looked, and at what. */
      z.strictObject({ t: z.literal('operator'), statement: reason }),
    ]),
  })
  .openapi('BreakLease');
export type BreakLeaseRequest = z.input<typeof breakLeaseRequest>;
