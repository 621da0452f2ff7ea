import type { LockDriver, LockState, ResourceId } from './lock-driver.js';

/** One migration's lease: which guest, from which host to which, and what the source's cookie said of it. */
export interface LeaseHandover {
  readonly vm: string;
  readonly resources: readonly ResourceId[];
  readonly source: string;
  readonly destination: string;
  readonly migrationId: string;
  /** From the cookie; null when the source's driver keeps no state. */
  readonly offered: LockState | null;
}

/** Finish, before `committing` is written: the destination takes the lease in the way of its driver (locking, 4.4). Idempotent. */
export function takeLease(driver: LockDriver, handover: LeaseHandover): Promise<LockState> {
  const { vm, resources, source, destination, migrationId, offered } = handover;
  if (offered === null) return driver.acquire(vm, resources);
  if (driver.canTransferAtomically)
    return driver.transfer(vm, resources, { host: source, state: offered }, destination, migrationId);
  if (driver.adopt !== undefined) return driver.adopt(vm, resources, offered, migrationId);
  return driver.acquire(vm, resources, offered);
}

/**
 * Abort, before `aborted` is written: the destination gives back what it took, to the source or to nobody (locking, 4.5). Idempotent, also when it
 * took nothing. The state is what the source reclaims with.
 */
export async function returnLease(driver: LockDriver, handover: LeaseHandover): Promise<LockState> {
  const { vm, resources, source, destination, migrationId } = handover;
  const { state, heldByMe } = await driver.inquire(vm, resources);
  if (!heldByMe) return state;
  if (driver.canTransferAtomically) return driver.transfer(vm, resources, { host: destination, state }, source, migrationId);
  return driver.release(vm, resources);
}

/** The source, before its `cont` after an abort: a new epoch, so that a late Finish with the old one fails. */
export function reclaimLease(
  driver: LockDriver,
  vm: string,
  resources: readonly ResourceId[],
  returned: LockState | null,
): Promise<LockState> {
  return driver.usesState && returned !== null ? driver.acquire(vm, resources, returned) : driver.acquire(vm, resources);
}
